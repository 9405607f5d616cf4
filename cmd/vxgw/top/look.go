package top

import "charm.land/lipgloss/v2"

// look is how what stands out does. The zero look is plain text: nothing is told by its
// colour alone.
type look struct {
	title, active, head, chosen, bad, alert, note, name lipgloss.Style
}

// colours are those of the terminal's own palette, which its user has chosen.
func colours() look {
	plain := lipgloss.NewStyle()
	return look{
		title:  plain.Bold(true),
		active: plain.Bold(true).Reverse(true),
		head:   plain.Bold(true).Foreground(lipgloss.Cyan),
		chosen: plain.Reverse(true),
		bad:    plain.Foreground(lipgloss.Yellow),
		alert:  plain.Bold(true).Foreground(lipgloss.Red),
		note:   plain.Faint(true),
		name:   plain.Foreground(lipgloss.Cyan),
	}
}
