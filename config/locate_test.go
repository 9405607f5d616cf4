package config

import (
	"fmt"
	"strings"
	"testing"
)

// places lists every node as path, place of the key, place of the value.
func places(src *source, path string, n *node, out map[string]string) {
	for name, k := range n.kids {
		p := strings.TrimPrefix(path+"."+name, ".")
		kl, kc := src.at(k.key)
		vl, vc := src.at(k.val)
		out[p] = fmt.Sprintf("%d:%d %d:%d", kl, kc, vl, vc)
		places(src, p, k, out)
	}
	for i, e := range n.list {
		p := fmt.Sprintf("%s[%d]", path, i)
		vl, vc := src.at(e.val)
		out[p] = fmt.Sprintf("%d:%d", vl, vc)
		places(src, p, e, out)
	}
}

func TestLocate(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{"plain", "a = 1\nbb   =   2\n", map[string]string{"a": "1:1 1:5", "bb": "2:1 2:10"}},
		{"no final line break", "a=1", map[string]string{"a": "1:1 1:3"}},
		{"table", "[t]\n  a = 1\n", map[string]string{"t": "1:2 1:2", "t.a": "2:3 2:7"}},
		{"spaced header", "[ t . u ]\na = 1", map[string]string{"t": "1:3 1:3", "t.u": "1:7 1:7", "t.u.a": "2:1 2:5"}},
		{"table implied before it is opened", "[t.u]\n[t]\na=1", map[string]string{"t": "2:2 2:2", "t.u": "1:4 1:4", "t.a": "3:1 3:3"}},
		{"array of tables", "[[t]]\na=1\n[[t]]\na=2\n[t.u]\nb=3\n", map[string]string{
			"t": "1:3 1:3", "t[0]": "1:3", "t[0].a": "2:1 2:3", "t[1]": "3:3", "t[1].a": "4:1 4:3", "t[1].u": "5:4 5:4", "t[1].u.b": "6:1 6:3"}},
		{"nested arrays of tables", "[[v]]\n[[v.r]]\np=1\n[[v.r]]\n[[v]]\n[[v.r]]\n", map[string]string{
			"v": "1:3 1:3", "v[0]": "1:3", "v[0].r": "2:5 2:5", "v[0].r[0]": "2:5", "v[0].r[0].p": "3:1 3:3", "v[0].r[1]": "4:5",
			"v[1]": "5:3", "v[1].r": "6:5 6:5", "v[1].r[0]": "6:5"}},
		{"dotted key", "a.b = 1\na . c = 2\n", map[string]string{"a": "1:1 1:1", "a.b": "1:3 1:7", "a.c": "2:5 2:9"}},
		{"quoted keys", "\"a b\" = 1\n'c.d' = 2\n\"\\u0065\" = 3\n", map[string]string{"a b": "1:1 1:9", "c.d": "2:1 2:9", "e": "3:1 3:12"}},
		{"array", "a = [1, \"x\",\n  # no, [this\n  'y' , [2], ]\nb=1", map[string]string{
			"a": "1:1 1:5", "a[0]": "1:6", "a[1]": "1:9", "a[2]": "3:3", "a[3]": "3:9", "a[3][0]": "3:10", "b": "4:1 4:3"}},
		{"empty array", "a = [ ]\n", map[string]string{"a": "1:1 1:5"}},
		{"inline table", "a = { b = 1, c.d = [2] }", map[string]string{"a": "1:1 1:5", "a.b": "1:7 1:11", "a.c": "1:14 1:14", "a.c.d": "1:16 1:20", "a.c.d[0]": "1:21"}},
		{"inline table over lines", "a = {\n  b = 1, # one\n}", map[string]string{"a": "1:1 1:5", "a.b": "2:3 2:7"}},
		{"array of inline tables", "a = [{b=1},\n{b=2}]", map[string]string{"a": "1:1 1:5", "a[0]": "1:6", "a[0].b": "1:7 1:9", "a[1]": "2:1", "a[1].b": "2:2 2:4"}},
		{"strings with what is not there", "a = \"# [ ] = \\\" '\"\nb = '\\'\nc = \"\"\nd = 1", map[string]string{"a": "1:1 1:5", "b": "2:1 2:5", "c": "3:1 3:5", "d": "4:1 4:5"}},
		{"three quotes", "a = \"\"\"\nx = 1\n\\\"\"\" y \"\"\"\"\"\nb = '''\n'' \\'''''\nc = 1", map[string]string{"a": "1:1 1:5", "b": "4:1 4:5", "c": "6:1 6:5"}},
		{"date with a space", "a = [1979-05-27 07:32:00, 07:32:00]\nb = 1979-05-27 07:32:00 # then\nc=1", map[string]string{
			"a": "1:1 1:5", "a[0]": "1:6", "a[1]": "1:27", "b": "2:1 2:5", "c": "3:1 3:3"}},
		{"carriage returns", "a = 1\r\n\r\n[t]\r\nb = [\r\n  1,\r\n]\r\n", map[string]string{"a": "1:1 1:5", "t": "3:2 3:2", "t.b": "4:1 4:5", "t.b[0]": "5:3"}},
		{"columns are characters", "a = [\"äöü€\", 1]", map[string]string{"a": "1:1 1:5", "a[0]": "1:6", "a[1]": "1:14"}},
		{"dotted key into an array of tables", "[[a.b]]\n[a]\nb.c = 1", map[string]string{"a": "2:2 2:2", "a.b": "1:5 1:5", "a.b[0]": "1:5", "a.b[0].c": "3:3 3:7"}},
		{"comment at the end", "a = 1 # b = 2", map[string]string{"a": "1:1 1:5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := decodeTOML(tt.text); err != nil {
				t.Fatalf("the text is no TOML: %v", err)
			}
			root, at, err := locate(tt.text)
			if err != nil {
				t.Fatalf("locate stopped at %d: %v", at, err)
			}
			got := map[string]string{}
			places(newSource("", tt.text), "", root, got)
			for k, w := range tt.want {
				if got[k] != w {
					t.Errorf("%s at %q, want %q", k, got[k], w)
				}
			}
			for k := range got {
				if _, ok := tt.want[k]; !ok {
					t.Errorf("%s at %q, want none", k, got[k])
				}
			}
		})
	}
}

func TestLocateStops(t *testing.T) {
	tests := []struct {
		name, text string
		want       error
	}{
		{"deep array", "a = " + strings.Repeat("[", 100000), errNesting},
		{"deep inline table", strings.Repeat("a = {", 100000), errNesting},
		{"long dotted key", strings.Repeat("a.", 100000) + "a = 1", errNesting},
		{"long header", "[" + strings.Repeat("a.", 100000) + "a]", errNesting},
		{"dotted keys inside each other", strings.Repeat("a.b.c.d = {", 10), errNesting},
		{"open string", "a = \"", errSyntax},
		{"open escape", "a = \"\\", errSyntax},
		{"open triple string", "a = '''", errSyntax},
		{"open triple escape", "a = \"\"\"\\", errSyntax},
		{"open array", "a = [1,", errSyntax},
		{"open header", "[", errSyntax},
		{"half a header", "[[a]", errSyntax},
		{"no value", "a =", errSyntax},
		{"no equals sign", "a", errSyntax},
		{"stray sign", "=", errSyntax},
		{"bad escape in a key", "\"\\q\" = 1", errSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, at, err := locate(tt.text)
			if err != tt.want || at < 0 || at > len(tt.text) {
				t.Errorf("locate = %d, %v, want %v", at, err, tt.want)
			}
		})
	}
}

// FuzzLocate checks that whatever the decoder takes has a place, of the same
// shape, inside of the text.
func FuzzLocate(f *testing.F) {
	f.Add(Sample())
	f.Add("a = [1, {b = 'x', c.d = \"\"\"y\"\"\"},\n]\n[[t.u]]\n\"k\\u0065\" = 1979-05-27 07:32:00\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		root, at, err := locate(text)
		if at < 0 || at > len(text)+1 {
			t.Fatalf("stopped at %d of %d", at, len(text))
		}
		if err == errNesting {
			return
		}
		if _, wrong := notText(text); wrong != "" || strings.HasPrefix(text, "\xef\xbb\xbf") {
			return
		}
		raw, decodeErr := decodeTOML(text)
		if decodeErr != nil {
			return
		}
		if err != nil {
			t.Fatalf("valid TOML, but locate stopped at %d: %v", at, err)
		}
		sameShape(t, len(text), "", raw, root)
	})
}

func sameShape(t *testing.T, size int, path string, raw any, n *node) {
	if n.key < 0 || n.key > size || n.val < 0 || n.val > size {
		t.Fatalf("%s is at %d and %d, outside of the text", path, n.key, n.val)
	}
	switch raw := raw.(type) {
	case map[string]any:
		if len(raw) != len(n.kids) {
			t.Fatalf("%s has %d keys, %d places", path, len(raw), len(n.kids))
		}
		for k, v := range raw {
			if n.kids[k] == nil {
				t.Fatalf("%s.%q has no place", path, k)
			}
			sameShape(t, size, path+"."+k, v, n.kids[k])
		}
	case []map[string]any:
		elems := make([]any, len(raw))
		for i := range raw {
			elems[i] = raw[i]
		}
		sameShape(t, size, path, elems, n)
	case []any:
		if len(raw) != len(n.list) {
			t.Fatalf("%s has %d elements, %d places", path, len(raw), len(n.list))
		}
		for i := range raw {
			sameShape(t, size, path+"[]", raw[i], n.list[i])
		}
	}
}
