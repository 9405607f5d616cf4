package config

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// nowhere is the offset of what has no place in the file.
const nowhere = -1

// source is the text of a file, as something to point into.
type source struct {
	file  string
	text  string
	lines []int // byte offset of the start of each line

	// The place found last. Elements of one long line are asked about in
	// order; counting each from the start of the line would take minutes.
	lastOff, lastLine, lastCol int
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, lines: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// at returns the line and the column of a byte offset, both from 1. A column
// is one character, as an editor counts them, not one byte. Both are 0 for
// nowhere.
func (s *source) at(off int) (line, col int) {
	if off < 0 {
		return 0, 0
	}
	off = min(off, len(s.text))
	for off > 0 && off < len(s.text) && !utf8.RuneStart(s.text[off]) {
		off-- // the TOML library may point inside of a character
	}
	line = sort.SearchInts(s.lines, off+1)
	from, col := s.lines[line-1], 1
	if line == s.lastLine && off >= s.lastOff {
		from, col = s.lastOff, s.lastCol
	}
	col += utf8.RuneCountInString(s.text[from:off])
	s.lastOff, s.lastLine, s.lastCol = off, line, col
	return line, col
}

// problem makes a Problem at a byte offset. The message is kept to one line,
// and to characters that do nothing to a terminal: part of it comes from the
// file.
func (s *source) problem(off int, format string, args ...any) Problem {
	line, col := s.at(off)
	return Problem{File: s.file, Line: line, Col: col, Message: printable(fmt.Sprintf(format, args...))}
}

// printable puts U+FFFD in the place of what cannot be printed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}
