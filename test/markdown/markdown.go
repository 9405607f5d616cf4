// Package markdown reads what tests hold about the documents: their fenced blocks, links
// and headings (CommonMark section 4.5), as far as these documents use them.
package markdown

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Doc is one document.
type Doc struct {
	Path     string // below the module's root, as "docs/logs.md"
	Blocks   []Block
	Links    []Link
	Spans    []Span
	Headings []string // as anchors, without #
}

// Block is a fenced block.
type Block struct {
	Line int      // of its first line of text
	Info []string // the words behind the fence: the language, and what it is for
	Text string
}

// Language is the first word behind the fence, or "".
func (b Block) Language() string {
	if len(b.Info) == 0 {
		return ""
	}
	return b.Info[0]
}

// Link is where a link leads to.
type Link struct {
	Line   int
	Target string
}

// Span is a piece of code in a line.
type Span struct {
	Line int
	Code string
}

// All reads README.md, CHANGELOG.md and what is in docs, below the module's root.
func All(root string) ([]Doc, error) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return nil, err
	}
	if len(pages) < 5 {
		return nil, fmt.Errorf("only %d documents under %s", len(pages), root)
	}
	var all []Doc
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, page)
		if err != nil {
			return nil, err
		}
		all = append(all, Parse(filepath.ToSlash(name), string(text)))
	}
	return all, nil
}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	span = regexp.MustCompile("`([^`]+)`")
)

// Parse reads a document. A fence that is not closed ends with it.
func Parse(path, text string) Doc {
	d := Doc{Path: path}
	in, fence := false, ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		bare := strings.TrimSpace(line)
		switch {
		case in && bare == fence:
			in = false
		case in:
			d.Blocks[len(d.Blocks)-1].Text += line
		case strings.HasPrefix(bare, "```"):
			info := strings.TrimLeft(bare, "`")
			in, fence = true, strings.TrimSuffix(bare, info)
			d.Blocks = append(d.Blocks, Block{Line: number + 1, Info: strings.Fields(info)})
		default:
			d.read(number, line)
		}
	}
	return d
}

// read takes in a line outside of all blocks.
func (d *Doc) read(number int, line string) {
	if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
		d.Headings = append(d.Headings, anchor(strings.TrimSpace(title)))
	}
	for _, m := range span.FindAllStringSubmatch(line, -1) {
		d.Spans = append(d.Spans, Span{number, m[1]})
	}
	for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(line, ""), -1) {
		d.Links = append(d.Links, Link{number, m[1]})
	}
}

// anchor is what a heading is called in links, by GitHub's rule: lower case, letters,
// digits, hyphens and underscores stay, blanks are hyphens.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
}

// Commands returns the command lines of a block in a shell's language. In `console`
// these begin with a prompt and the rest is output; a backslash goes on with a line.
func (b Block) Commands() (lines []string) {
	open := false
	for line := range strings.Lines(b.Text) {
		line = strings.TrimSpace(line)
		if b.Language() == "console" && !open {
			rest, ok := strings.CutPrefix(line, "$ ")
			if !ok {
				rest, ok = strings.CutPrefix(line, "# ")
			}
			if !ok {
				continue
			}
			line = rest
		}
		text, more := strings.CutSuffix(line, `\`)
		if open {
			lines[len(lines)-1] += text
		} else {
			lines = append(lines, text)
		}
		open = more
	}
	return lines
}
