package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is what a key accepts. parse turns a decoded TOML value into the value
// the gateway works with; its error is the end of a sentence that begins with
// the key and the value: `is out of range: write 1..255`.
type kind struct {
	limits string // for people, in the sample: "1..255"; "" where the key's doc says all
	list   bool   // an array: parse is asked about each element
	single bool   // of a list: one element may stand without brackets
	want   string // what to write, after "write "
	json   object // it in JSON Schema; of a list: an element
	parse  func(raw any) (any, error)
}

// fault says what is wrong and what to write.
func fault(wrong, want string) error { return errors.New(wrong + ": write " + want) }

// integer accepts whole numbers from lo to hi.
func integer(lo, hi int64) kind {
	limits := fmt.Sprintf("%d..%d", lo, hi)
	want := "a whole number, " + limits
	return kind{limits: limits, want: want, json: object{"type": "integer", "minimum": lo, "maximum": hi}, parse: func(raw any) (any, error) {
		n, ok := raw.(int64)
		switch {
		case !ok:
			return nil, fault("is "+typeOf(raw), want)
		case n < lo || n > hi:
			return nil, fault("is out of range", limits)
		}
		return n, nil
	}}
}

// boolean accepts true and false.
func boolean() kind {
	return kind{want: "true or false", json: object{"type": "boolean"}, parse: func(raw any) (any, error) {
		b, ok := raw.(bool)
		if !ok {
			return nil, fault("is "+typeOf(raw), "true or false, without quotes")
		}
		return b, nil
	}}
}

// text accepts strings that check accepts. A check may return a value of
// another type: an address, a duration.
func text[T any](want string, check func(string) (T, error)) kind {
	return kind{want: want, json: object{"type": "string"}, parse: func(raw any) (any, error) {
		s, ok := raw.(string)
		if !ok {
			return nil, fault("is "+typeOf(raw), want)
		}
		v, err := check(s)
		if err != nil {
			return nil, err
		}
		return v, nil
	}}
}

// choice accepts one of a few words.
func choice(words ...string) kind {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	want := either(quoted)
	k := text(want, func(s string) (string, error) {
		for _, w := range words {
			if s == w {
				return s, nil
			}
		}
		return "", fault("is not one of its values", want)
	})
	k.limits, k.json = want, object{"enum": words}
	return k
}

// listOf accepts an array of what k accepts.
func listOf(k kind) kind {
	k.list = true
	return k
}

// oneOrMore accepts what k accepts, or an array of it.
func oneOrMore(k kind) kind {
	k.list, k.single = true, true
	return k
}

// either joins words as "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// typeOf names the TOML type of a decoded value.
func typeOf(raw any) string {
	switch raw.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date or time"
	case []any:
		return "an array"
	case []map[string]any:
		return "an array of tables"
	default:
		return "a table"
	}
}

// maxShown is how many characters of a value a message repeats.
const maxShown = 60

// show returns a decoded value as a message repeats it.
func show(raw any) string {
	switch v := raw.(type) {
	case string:
		return strconv.Quote(shorten(v))
	case time.Time:
		return "..."
	case []any, []map[string]any:
		return "[...]"
	case map[string]any:
		return "{...}"
	default:
		return fmt.Sprint(v)
	}
}

// shorten cuts a long text.
func shorten(s string) string {
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "..."
	}
	return s
}
