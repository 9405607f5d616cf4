package config

import (
	"fmt"
	"strconv"
	"strings"
)

const referenceHead = `# The configuration file

` + "`vxgw` reads one TOML file, `" + DefaultFile + "`" + ` unless ` + "`-c`" + ` names another.
[vxgw.toml](vxgw.toml) is the same as a commented file, as ` + "`vxgw sample`" + ` prints it, and
[vxgw.schema.json](vxgw.schema.json) is it as a JSON Schema for editors.

` + "`vxgw check`" + ` reports every mistake of a file in one run, each with its line and column,
what was found and what would be accepted. Nothing starts on a file with a mistake, and
a reload with one keeps what is running. What is not in these tables is refused.

*Takes effect*: what says "reload" does so at once at ` + "`vxgw reload`" + `, without disturbing
anything else; what says "start" waits for the next start.
`

// Reference returns the documentation of every key of the file format, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	fileTable.each(func(t *table) {
		if t == fileTable {
			return
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n%s", t.header(), t.doc)
		if t.array {
			b.WriteString(" There may be any number of them.")
		}
		b.WriteString("\n\n| key | meaning | accepts | default | takes effect |\n| --- | --- | --- | --- | --- |\n")
		for i := range t.keys {
			k := &t.keys[i]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.name, cellText(k.doc), cellText(k.kind.accepts()), k.defaultText(), choose(k.restart, "start", "reload"))
		}
	})
	return b.String()
}

// each calls f for a table and all below it.
func (t *table) each(f func(*table)) {
	f(t)
	for _, kid := range t.kids {
		kid.each(f)
	}
}

// cellText keeps a text within its cell.
func cellText(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// accepts says what may be written.
func (k kind) accepts() string {
	what := k.want
	if k.limits != "" {
		what = k.limits
	}
	switch {
	case k.single:
		return what + "; or an array of it"
	case k.list:
		return "an array, each element " + what
	}
	return what
}

func (k *key) defaultText() string {
	switch def := k.def.(type) {
	case nil:
		return choose(k.required, "required", "")
	case string:
		return "`" + strconv.Quote(def) + "`"
	default:
		return fmt.Sprintf("`%v`", def)
	}
}
