package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// MaxFile is the size of the largest configuration taken, in bytes. A VNI for
// every VLAN, each with twenty VTEPs and a port, takes four fifths of it.
const MaxFile = 2 << 20

const sampleHint = "`vxgw sample` prints a commented one"

// Load reads and checks a configuration file. The error is a Problems with all
// that is wrong with it.
func Load(file string) (*Config, error) {
	text, err := Read(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, text)
}

// Read returns the text of a configuration file, for Parse. The error is a Problems.
func Read(file string) ([]byte, error) {
	text, err := read(file)
	if err != nil {
		return nil, Problems{{File: file, Message: err.Error()}}
	}
	return text, nil
}

// read returns the text of a file, one byte more than MaxFile at the most.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return text, nil
}

// unreadable says what to do about a file that cannot be read.
func unreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file: name the right one with -c, or write it; " + sampleHint)
	case errors.Is(err, fs.ErrPermission):
		return errors.New("may not be read by this user: run as root, or give the user of vxgw the right to read it")
	case errors.Is(err, syscall.EISDIR):
		return errors.New("is a directory: name the file inside it")
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Errorf("cannot be read: %w", err)
}

// Parse checks the text of a configuration. The file name is for messages
// only. The error is a Problems with all that is wrong with the text, in the
// order of the text; only what makes it no TOML at all is reported alone.
func Parse(file string, text []byte) (*Config, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // the mark some editors begin UTF-8 with
	src := newSource(file, string(text))
	raw, root, problem := decode(src)
	if problem != nil {
		return nil, Problems{*problem}
	}
	b := &builder{reader: &reader{src: src}}
	cfg := b.build(raw, root)
	if len(b.problems) > 0 {
		sortProblems(b.problems)
		return nil, Problems(b.problems)
	}
	return cfg, nil
}

// decode turns a text into values and their places, or into the one problem
// that makes it no TOML.
func decode(src *source) (raw map[string]any, root *node, problem *Problem) {
	fail := func(at int, format string, args ...any) (map[string]any, *node, *Problem) {
		p := src.problem(at, format, args...)
		return nil, nil, &p
	}
	if at, wrong := notText(src.text); wrong != "" {
		return fail(at, "%s", wrong)
	}
	root, at, err := locate(src.text)
	if errors.Is(err, errNesting) {
		return fail(at, "nested more than %d deep: no key of this file is; %s", maxNesting, sampleHint)
	}
	raw, err = decodeTOML(src.text)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax) && strings.HasSuffix(syntax.Message, outOfRange):
		return fail(syntax.Position.Start, "%s", hugeNumber(syntax.LastKey, strings.TrimSuffix(syntax.Message, outOfRange)))
	case errors.As(err, &syntax):
		return fail(syntax.Position.Start, "not valid TOML: %s%s", tomlMessage(syntax.Message), tomlHint(syntax.Message))
	case err != nil:
		return fail(nowhere, "not valid TOML: %v", err)
	case len(raw) == 0:
		return fail(nowhere, "the file is empty: it needs at least [underlay] address; %s", sampleHint)
	}
	return raw, root, nil
}

// notText says why a text cannot be a configuration at all, and where.
func notText(text string) (at int, wrong string) {
	if len(text) > MaxFile {
		return nowhere, fmt.Sprintf("larger than %d bytes: this is not a configuration of vxgw", MaxFile)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return i, "has a zero byte: save the file as UTF-8 text, not UTF-16"
	}
	if !utf8.ValidString(text) {
		for i, r := range text {
			if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
				return i, fmt.Sprintf("byte 0x%02x is not UTF-8: save the file as UTF-8 text", text[i])
			}
		}
	}
	return 0, ""
}

// decodeTOML decodes with the TOML library. A panic there is its way to report
// a text that its own parts disagree about; no text may end the program.
func decodeTOML(text string) (raw map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("the decoder gave up: %v", p)
		}
	}()
	_, err = toml.Decode(text, &raw)
	return raw, err
}

// outOfRange ends the library's message for a whole number beyond 64 bits.
const outOfRange = " is out of range for int64"

// hugeNumber says what is wrong with such a number. The key is the library's
// dotted one.
func hugeNumber(dotted, number string) string {
	wrong := "too large a number"
	if strings.HasPrefix(number, "-") {
		wrong = "too small a number"
	}
	parts := strings.Split(dotted, ".")
	name := parts[len(parts)-1]
	t := fileTable
	for _, p := range parts[:len(parts)-1] {
		if t = t.kid(p); t == nil {
			break
		}
	}
	want := "at most 64 bits"
	if t != nil && t.key(name) != nil {
		want = t.key(name).kind.want
	}
	return fmt.Sprintf("%s = %s is %s: write %s", name, shorten(number), wrong, want)
}

// tomlMessage puts the library's words for the end of a line into ours.
func tomlMessage(msg string) string {
	msg = strings.ReplaceAll(msg, `'\n'`, "the end of the line")
	msg = strings.Replace(msg, "a top-level item to end with a newline, comment, or EOF", "the end of the line", 1)
	return strings.Replace(msg, "unexpected EOF", "unexpected end of the file", 1)
}

// tomlHint says how to mend the slips that people make most.
func tomlHint(msg string) string {
	switch {
	case strings.HasPrefix(msg, "expected value but found \"True"), strings.HasPrefix(msg, "expected value but found \"False"):
		return ": write true or false, in small letters"
	case strings.HasPrefix(msg, "expected value but found '\\n'"):
		return ": write a value after the ="
	case strings.HasPrefix(msg, "expected value but found \""), strings.HasPrefix(msg, "Invalid float"):
		return ": write text and addresses in \"double quotes\""
	case strings.HasPrefix(msg, "strings cannot contain newlines"):
		return ": close the string with its quote"
	case strings.HasSuffix(msg, "has already been defined."):
		return " Write it once"
	case strings.HasPrefix(msg, "expected a top-level item to end"):
		return ": write one key = value on a line, and text in \"double quotes\""
	case strings.HasPrefix(msg, "expected '.' or '='"):
		return ": write key = value"
	}
	return ""
}
