package config

import (
	"fmt"
	"strings"
)

const manHead = `.TH VXGW.TOML 5 "%s" vxgw "File Formats"
.SH NAME
vxgw.toml \- the configuration file of the VXLAN gateway
.SH SYNOPSIS
.I ` + DefaultFile + `
.SH DESCRIPTION
One TOML file, read by
.B vxgw run
at its start and again at
.BR "vxgw reload" ,
which applies only what changed.
.B vxgw check
reports every mistake of a file in one run, each with its line and column. Nothing starts
on a file with a mistake, and a reload with one keeps what is running. What is not in
these tables is refused.
.PP
.B vxgw sample
prints the same as a commented file. What is marked
.I restart
takes effect at the next start.
`

const manTail = `.SH SEE ALSO
.BR vxgw (8),
.BR vxgw\-check (8),
.BR vxgw\-reload (8),
.BR vxgw\-sample (8)
`

// ManPage returns vxgw.toml(5) in the man(7) language, made of what the parser goes by.
// date is the page's, as 2006-01-02.
func ManPage(date string) string {
	var b strings.Builder
	fmt.Fprintf(&b, manHead, date)
	fileTable.each(func(t *table) {
		if t == fileTable {
			return
		}
		fmt.Fprintf(&b, ".SH \"TABLE %s\"\n%s", t.header(), roff(t.doc))
		if t.array {
			b.WriteString(" There may be any number of them.")
		}
		b.WriteString("\n")
		for i := range t.keys {
			b.WriteString(t.keys[i].manEntry())
		}
	})
	return b.String() + manTail
}

func (k *key) manEntry() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TP\n.B %s\n%s.", roff(k.name), roff(k.doc))
	fmt.Fprintf(&b, "\n.br\nAccepts %s", roff(k.kind.accepts()))
	if def := strings.Trim(k.defaultText(), "`"); k.required {
		b.WriteString("; required")
	} else if def != "" {
		b.WriteString("; default " + roff(def))
	}
	if k.restart {
		b.WriteString("; \\fIrestart\\fR")
	}
	return b.String() + ".\n"
}

// roff has a text stand in a page as it is: a backslash, a hyphen that is typed, and
// what begins a line of requests mean something else there (groff_man_style(7)). What
// is between backquotes is literal and so bold.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 {
		return s // not a pair for each
	}
	for i := 1; i < len(parts); i += 2 {
		parts[i] = `\fB` + parts[i] + `\fR`
	}
	return strings.Join(parts, "")
}
