package api

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"vxgw/l2/frame"
)

// CleanHex reads a frame as people paste it: hexadecimal digits with spaces,
// line breaks, colons, dots or dashes between them, 0x in front, or the lines of
// `tcpdump -xx` with their offsets. It returns the digits alone, in lower case,
// for 1 to frame.MaxLen bytes.
func CleanHex(text string) (string, error) {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		for i, word := range strings.Fields(line) {
			if i == 0 && isOffset(word) {
				continue
			}
			if err := appendDigits(&digits, word); err != nil {
				return "", err
			}
		}
	}
	s := digits.String()
	switch n := len(s) / 2; {
	case s == "":
		return "", errors.New("the frame is empty: give its bytes from the destination MAC on, in hexadecimal")
	case len(s)%2 != 0:
		return "", fmt.Errorf("the frame has %d hexadecimal digits: a byte has two, so one is missing", len(s))
	case n > frame.MaxLen:
		return "", fmt.Errorf("the frame has %d bytes: %d is the most there can be", n, frame.MaxLen)
	}
	return s, nil
}

// isOffset reports whether word is what tcpdump puts before a line: 0x0010:
func isOffset(word string) bool {
	hexa, ok := strings.CutPrefix(word, "0x")
	hexa, colon := strings.CutSuffix(hexa, ":")
	return ok && colon && len(hexa) >= 4 && strings.Trim(hexa, "0123456789abcdef") == ""
}

func appendDigits(digits *strings.Builder, word string) error {
	word = strings.TrimPrefix(strings.ToLower(word), "0x")
	word = strings.NewReplacer(":", "", "-", "", ".", "").Replace(word)
	for _, r := range word {
		if !strings.ContainsRune("0123456789abcdef", r) {
			return fmt.Errorf("%q is not a hexadecimal digit: give the frame as 0200000001020200..., or as the lines of tcpdump -xx", r)
		}
	}
	digits.WriteString(word)
	return nil
}

// DecodeFrame returns the bytes of a frame in any form that CleanHex reads.
func DecodeFrame(text string) ([]byte, error) {
	s, err := CleanHex(text)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(s)
}
