package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"vxgw/gateway/control"
)

// scan reads one JSON value token by token. It knows where it is, so that every error
// says so, and it never holds more than the value at hand.
type scan struct {
	d    *json.Decoder
	path []step
}

// step is a member of an object, or an element of an array.
type step struct {
	name  string
	index int // of an element; -1: a member
}

func newScan(r io.Reader) *scan {
	d := json.NewDecoder(r)
	d.UseNumber()
	return &scan{d: d}
}

// place returns where the scan is, as a JSON pointer (RFC 6901).
func (s *scan) place() string {
	var b strings.Builder
	for _, p := range s.path {
		b.WriteByte('/')
		if p.index >= 0 {
			b.WriteString(strconv.Itoa(p.index))
		} else {
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(p.name))
		}
	}
	return b.String()
}

// fail returns an error about where the scan is.
func (s *scan) fail(format string, args ...any) error {
	return &control.Fault{Place: s.place(), Message: fmt.Sprintf(format, args...)}
}

// token returns the next token.
func (s *scan) token() (json.Token, error) {
	t, err := s.d.Token()
	var syntax *json.SyntaxError
	var long *http.MaxBytesError
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &long), errors.Is(err, os.ErrDeadlineExceeded):
		return nil, err
	case errors.As(err, &syntax):
		return nil, s.fail("from byte %d on this is not JSON: %v", syntax.Offset, err)
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, s.fail("the request ends here, after %d bytes, and is not complete", s.d.InputOffset())
	}
	return nil, s.fail("the request cannot be read: %v", err)
}

// whole reads the value, and nothing behind it.
func (s *scan) whole(names []string, member func(i int) error) error {
	if err := s.object(names, member); err != nil {
		return err
	}
	if _, err := s.d.Token(); err != io.EOF {
		return s.fail("something stands behind the request's object: send one object")
	}
	return nil
}

// object reads an object. member is called for each of its members, which are among
// names, with the number of the name; it reads the value.
func (s *scan) object(names []string, member func(i int) error) error {
	if err := s.begin('{', "an object with "+strings.Join(names, ", ")); err != nil {
		return err
	}
	seen := uint64(0)
	for s.d.More() {
		t, err := s.token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		i := slices.Index(names, name)
		if i < 0 {
			return s.unknown(name, names)
		}
		s.path = append(s.path, step{names[i], -1})
		if seen&(1<<i) != 0 {
			return s.fail("it is there twice: write it once")
		}
		seen |= 1 << i
		if err := member(i); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
	_, err := s.token()
	return err
}

// unknown is the error of a member that there is not.
func (s *scan) unknown(name string, names []string) error {
	return s.fail("%v", unknownField(name, names))
}

// array reads an array. element is called for each of its elements, and reads it.
func (s *scan) array(element func() error) error {
	if err := s.begin('[', "an array"); err != nil {
		return err
	}
	s.path = append(s.path, step{index: 0})
	at := len(s.path) - 1
	for s.d.More() {
		if err := element(); err != nil {
			return err
		}
		s.path[at].index++
	}
	s.path = s.path[:at]
	_, err := s.token()
	return err
}

// begin reads how an object or array begins.
func (s *scan) begin(d json.Delim, want string) error {
	t, err := s.token()
	if err != nil {
		return err
	}
	if t != d {
		return s.fail("%s is there: write %s", show(t), want)
	}
	return nil
}

// text reads a string.
func (s *scan) text(want string) (string, error) {
	t, err := s.token()
	if err != nil {
		return "", err
	}
	v, ok := t.(string)
	if !ok {
		return "", s.fail("%s is there: write %s, in quotes", show(t), want)
	}
	return v, nil
}

// number reads a whole number.
func (s *scan) number(least, most uint32, what string) (uint32, error) {
	t, err := s.token()
	if err != nil {
		return 0, err
	}
	text, _ := t.(json.Number)
	n, err := strconv.ParseUint(text.String(), 10, 32)
	if err != nil || uint32(n) < least || uint32(n) > most {
		return 0, s.fail("%s is there: %s is a whole number from %d to %d", show(t), what, least, most)
	}
	return uint32(n), nil
}

// truth reads true or false.
func (s *scan) truth() (bool, error) {
	t, err := s.token()
	if err != nil {
		return false, err
	}
	v, ok := t.(bool)
	if !ok {
		return false, s.fail("%s is there: write true or false, without quotes", show(t))
	}
	return v, nil
}

// maxShown is how much of a value an error shows, in bytes.
const maxShown = 60

// show writes a token for people.
func show(t json.Token) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case string:
		if len(v) > maxShown {
			return fmt.Sprintf("%.*q...", maxShown, v)
		}
		return strconv.Quote(v)
	case json.Number:
		if len(v) > maxShown {
			return "a number of " + strconv.Itoa(len(v)) + " digits"
		}
		return v.String()
	case json.Delim:
		if v == '{' {
			return "an object"
		}
		return "an array"
	}
	return fmt.Sprint(t)
}
