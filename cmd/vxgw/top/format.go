package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// unknown is a rate that cannot be told: only one poll has the row, or its counter began
// anew.
var unknown = math.NaN()

// scaled writes a number in three digits and a prefix: 12.3k. Below a thousand what is
// whole has no fraction.
func scaled(n float64) string {
	if math.IsNaN(n) {
		return "-"
	}
	const prefixes = " kMGTPE"
	i := 0
	for ; n >= 999.5 && i < len(prefixes)-1; i++ {
		n /= 1000
	}
	switch {
	case i > 0 && n < 9.995:
		return fmt.Sprintf("%.2f%c", n, prefixes[i])
	case i > 0 && n < 99.95:
		return fmt.Sprintf("%.1f%c", n, prefixes[i])
	case i > 0:
		return fmt.Sprintf("%.0f%c", n, prefixes[i])
	case n > 0 && n < 0.1:
		return "<0.1"
	case n < 9.95 && n != math.Trunc(n):
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// unit is scaled with a unit behind it: 12.3 kpps.
func unit(n float64, name string) string {
	text := scaled(n)
	if last := text[len(text)-1]; last >= 'A' {
		return text[:len(text)-1] + " " + string(last) + name
	}
	return text + " " + name
}

// grouped writes a whole number with its thousands apart: 1,234,567.
func grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// number writes a number, and nothing for none.
func number[T ~int | ~uint16 | ~uint32 | ~uint64](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

// clean keeps a text on its line and in its place: names of interfaces and VNIs are
// somebody else's, and may have anything in them that moves a terminal's cursor.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
