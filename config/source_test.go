package config

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestSourceAt compares places, asked about in any order, with counting.
func TestSourceAt(t *testing.T) {
	text := "a = 1\r\n\nä€ = [1, 'ö']\n" + strings.Repeat("x,ü ", 50) + "\nend"
	s := newSource("f", text)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		off := rng.IntN(len(text) + 1)
		start := off
		for off < len(text) && start > 0 && !utf8.RuneStart(text[start]) {
			start--
		}
		wantLine := strings.Count(text[:start], "\n") + 1
		wantCol := utf8.RuneCountInString(text[strings.LastIndexByte(text[:start], '\n')+1:start]) + 1
		if line, col := s.at(off); line != wantLine || col != wantCol {
			t.Fatalf("at(%d) = %d:%d, want %d:%d", off, line, col, wantLine, wantCol)
		}
	}
	if line, col := s.at(nowhere); line != 0 || col != 0 {
		t.Errorf("nowhere is %d:%d", line, col)
	}
}

// TestHugeLine has a hundred thousand problems in one line: it must not take
// as many times the line.
func TestHugeLine(t *testing.T) {
	const n = 100_000
	text := "[underlay]\naddress = \"192.0.2.1\"\n[[vni]]\nid = 1\nflood = [" + strings.Repeat("1,", n) + "]\n"
	_, err := Parse("f", []byte(text))
	ps, _ := err.(Problems)
	if len(ps) != n {
		t.Fatalf("%d problems", len(ps))
	}
	if last := ps[len(ps)-1]; last.Line != 5 || last.Col != 10+2*(len(ps)-1) {
		t.Errorf("the last one is at %d:%d", last.Line, last.Col)
	}
}
