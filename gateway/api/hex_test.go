package api

import (
	"encoding/hex"
	"strings"
	"testing"

	"vxgw/l2/frame"
)

func TestCleanHex(t *testing.T) {
	tests := []struct{ name, in, want, err string }{
		{"plain", "ffffffffffff0200", "ffffffffffff0200", ""},
		{"capitals", "FFABCD", "ffabcd", ""},
		{"with 0x", "0xffff", "ffff", ""},
		{"0x before each byte", "0x02 0x00 0xff", "0200ff", ""},
		{"colons", "02:00:00:00:01:01", "020000000101", ""},
		{"dashes and dots", "02-00-00 0000.0101", "020000" + "00000101", ""},
		{"one digit over two lines", "ff\n  ff\r\n\tff\n", "ffffff", ""},
		{"tcpdump -xx", "\t0x0000:  ffff ffff ffff 0200\n\t0x0010:  0001 0800\n", "ffffffffffff020000010800", ""},
		{"no offset: 0x and a colon in one word", "0x0200:0000", "02000000", ""},
		{"empty", "", "", "empty"},
		{"only separators", " : 0x -", "", "empty"},
		{"odd", "fff", "", "3 hexadecimal digits"},
		{"not hexadecimal", "ffgg", "", `'g' is not`},
		{"tcpdump -X", "0x0000:  ffff ffff  ......", "ffffffff", ""},
		{"text", "hello", "", "'h' is not"},
		{"longest", strings.Repeat("00", frame.MaxLen), strings.Repeat("00", frame.MaxLen), ""},
		{"too long", strings.Repeat("00", frame.MaxLen+1), "", "65557 is the most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := CleanHex(test.in)
			if test.err == "" && (err != nil || got != test.want) {
				t.Errorf("%q, %v", got, err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

// FuzzCleanHex holds that what is taken decodes, within the length there can be,
// and is taken again as it is.
func FuzzCleanHex(f *testing.F) {
	for _, s := range []string{"", "ff", "0x0000:  ffff\n", "02:00:00:00:01:02", "0xg", "é", "f f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := CleanHex(text)
		if err != nil {
			if s != "" {
				t.Errorf("an error and %q", s)
			}
			return
		}
		b, err := hex.DecodeString(s)
		if err != nil || len(b) < 1 || len(b) > frame.MaxLen || s != strings.ToLower(s) {
			t.Errorf("%q: %d bytes, %v", s, len(b), err)
		}
		if again, err := CleanHex(s); again != s || err != nil {
			t.Errorf("%q becomes %q, %v", s, again, err)
		}
	})
}

// FuzzReadExplain holds that whatever a client sends, a Source is asked only
// what makes sense.
func FuzzReadExplain(f *testing.F) {
	f.Add(`{"port":"eth1","frame":"ff"}`)
	f.Add(`{"vtep":"192.0.2.2","vni":10010,"frame":"0xff ff"}`)
	f.Add(`{}{}`)
	f.Fuzz(func(t *testing.T, body string) {
		req, status, err := readExplain(strings.NewReader(body))
		if err != nil {
			if status < 400 || status > 499 {
				t.Errorf("status %d with %v", status, err)
			}
			return
		}
		if (req.Port == "") == (req.VTEP == "") || req.VTEP != "" && req.VNI == 0 || req.VNI > maxVNI {
			t.Errorf("%+v makes no sense", req)
		}
		if b, err := hex.DecodeString(req.Frame); err != nil || len(b) == 0 {
			t.Errorf("frame %q: %v", req.Frame, err)
		}
	})
}
