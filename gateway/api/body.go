package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"

	"vxgw/config"
)

// readBody decodes one JSON value into v, which points to it. The error is for people:
// it names the place, what is there, and what would be taken; status is what to answer.
func readBody(body io.Reader, v any) (status int, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return 0, nil
		} else if err == nil {
			err = errors.New("there is more than one JSON value: send one")
		}
	}
	return bodyFault(err, d.InputOffset(), v)
}

func bodyFault(err error, at int64, v any) (status int, told error) {
	var tooLong *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	known := fieldNames(reflect.TypeOf(v))
	switch field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge, fmt.Errorf("the request is longer than %d bytes, which is as much as is taken", tooLong.Limit)
	case unknown:
		return http.StatusBadRequest, unknownField(strings.Trim(field, `"`), known)
	case errors.As(err, &kind):
		return http.StatusBadRequest, wrongType(kind)
	case errors.As(err, &syntax):
		return http.StatusBadRequest, fmt.Errorf("the request is not JSON from byte %d on: %w: send an object with %s", syntax.Offset, err, strings.Join(known, ", "))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, fmt.Errorf("the request stopped after %d bytes, and was waited for in vain: send it at once", at)
	case err == io.EOF:
		return http.StatusBadRequest, fmt.Errorf("the request is empty: send a JSON object with %s", strings.Join(known, ", "))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadRequest, fmt.Errorf("the request ends in the middle, after %d bytes: send a JSON object with %s", at, strings.Join(known, ", "))
	}
	return http.StatusBadRequest, err
}

func unknownField(name string, known []string) error {
	if near := config.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown field %q: did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown field %q: there is %s", name, strings.Join(known, ", "))
}

// wrongType says what a field is and what it should be.
func wrongType(e *json.UnmarshalTypeError) error {
	where := "the request"
	if e.Field != "" {
		where = fmt.Sprintf("%q", e.Field)
	}
	return fmt.Errorf("%s is %s, at byte %d: write %s", where, withArticle(e.Value), e.Offset, wanted(e.Type))
}

// withArticle turns encoding/json's word for a value into one for people: it says
// "number 70000" where a number does not fit.
func withArticle(value string) string {
	switch {
	case strings.HasPrefix(value, "number "), value == "null":
		return value
	case value == "array", value == "object":
		return "an " + value
	case value == "bool":
		return "true or false"
	}
	return "a " + value
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.String:
		return "text in quotes"
	case reflect.Bool:
		return "true or false, without quotes"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-t.Bits()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	}
	return "a " + t.Kind().String()
}

// fieldNames are the JSON names of all fields that a value of a type may have, at any
// depth, each once.
func fieldNames(t reflect.Type) (names []string) {
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(t.Elem())
		case reflect.Struct:
			if seen[t] {
				return
			}
			seen[t] = true
			for _, f := range reflect.VisibleFields(t) {
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" && !slices.Contains(names, name) {
					names = append(names, name)
				}
				walk(f.Type)
			}
		}
	}
	walk(t)
	return names
}
