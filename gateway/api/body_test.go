package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// nested is a request with something of everything.
type nested struct {
	Name   string   `json:"name"`
	VNI    uint32   `json:"vni"`
	Small  uint8    `json:"small"`
	Sticky bool     `json:"sticky"`
	List   []nested `json:"list"`
	Inner  struct {
		Address *string `json:"address"`
	} `json:"inner"`
}

func TestReadBody(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		says       string
	}{
		{"right", `{"name":"a","list":[{"vni":1}],"inner":{"address":"b"}}`, 0, ""},
		{"space behind", "{} \n", 0, ""},
		{"nothing", "", 400, "the request is empty: send a JSON object with name, vni, small, sticky, list, inner, address"},
		{"cut off", `{"name":"a`, 400, "ends in the middle"},
		{"not JSON", `{"name":a}`, 400, "not JSON from byte 9 on"},
		{"two values", `{} {}`, 400, "more than one JSON value"},
		{"something behind", `{} x`, 400, "not JSON from byte"},
		{"a near name", `{"nmae":"a"}`, 400, `unknown field "nmae": did you mean "name"?`},
		{"a near name inside", `{"inner":{"adress":"a"}}`, 400, `unknown field "adress": did you mean "address"?`},
		{"no near name", `{"colour":"a"}`, 400, `unknown field "colour": there is name, vni,`},
		{"number for text", `{"name":7}`, 400, `"name" is a number, at byte 9: write text in quotes`},
		{"text for a number", `{"vni":"7"}`, 400, `"vni" is a string, at byte 10: write a whole number from 0 to 4294967295`},
		{"too large", `{"small":256}`, 400, `"small" is number 256, at byte 12: write a whole number from 0 to 255`},
		{"negative", `{"vni":-1}`, 400, `"vni" is number -1`},
		{"a fraction", `{"vni":1.5}`, 400, `"vni" is number 1.5`},
		{"text for a bool", `{"sticky":"yes"}`, 400, `"sticky" is a string, at byte 15: write true or false, without quotes`},
		{"bool for text", `{"name":true}`, 400, `"name" is true or false, at byte 12: write text in quotes`},
		{"object for an array", `{"list":{}}`, 400, `"list" is an object, at byte 9: write an array`},
		{"array for an object", `{"inner":[]}`, 400, `"inner" is an array, at byte 10: write an object`},
		{"deep", `{"list":[{"inner":{"address":1}}]}`, 400, `write text in quotes`},
		{"an array", `[]`, 400, `the request is an array, at byte 1: write an object`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var v nested
			status, err := readBody(strings.NewReader(test.body), &v)
			switch {
			case test.says == "" && (err != nil || status != 0):
				t.Errorf("%d, %v", status, err)
			case test.says != "" && (err == nil || status != test.status || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%d, %v; want %d, %s", status, err, test.status, test.says)
			}
		})
	}
}

// FuzzReadBody holds that what is refused is refused with a reason and a status for the
// client's fault, and that what is taken is taken whole.
func FuzzReadBody(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"vni":1}`, `{"list":[{}]}{`, `[[`, `{"name":"\ud800"}`, `{"inner":{"address":null}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var v nested
		status, err := readBody(strings.NewReader(body), &v)
		if err != nil {
			if status != http.StatusBadRequest || err.Error() == "" {
				t.Errorf("%d, %q", status, err)
			}
			return
		}
		if !json.Valid([]byte(body)) {
			t.Errorf("%q was taken", body)
		}
	})
}
