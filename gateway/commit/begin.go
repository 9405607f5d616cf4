package commit

import (
	"fmt"
	"log/slog"

	"vxgw/config"
)

// Beginning is the configuration that a gateway begins with.
type Beginning struct {
	Config *config.Config

	file   string
	text   []byte
	store  *store
	passed bool   // the file was passed over for the one that was confirmed last
	broken string // why what is kept cannot be used; "": it can, or there is none
}

// Begin reads the configuration that a gateway is to begin with: that of file, unless
// what the file has was put in force with a time to confirm it in and was not confirmed;
// then it is the one before. dir is where that is kept. The error is of config.Load.
func Begin(file, dir string) (*Beginning, error) {
	s, err := newStore(dir, file)
	if err != nil {
		return nil, config.Problems{{File: file, Message: err.Error()}}
	}
	b := &Beginning{file: file, store: s}
	text, readErr := config.Read(file)
	kept, err := s.load()
	if err != nil {
		b.broken = err.Error()
	}
	if kept != nil && kept.passes(text, readErr) {
		if cfg, err := config.Parse(s.path, kept.text); err != nil {
			b.broken = err.Error()
		} else {
			cfg.File = file
			b.Config, b.text, b.passed = cfg, kept.text, true
			b.note(text, readErr)
			return b, nil
		}
	}
	if readErr != nil {
		return nil, readErr
	}
	if b.Config, err = config.Parse(file, text); err != nil {
		return nil, err
	}
	b.text = text
	if kept != nil && kept.over {
		// The file was written anew since: that is what is wanted.
		if err := s.remove(); err != nil {
			b.broken = err.Error()
		}
	}
	return b, nil
}

// passes reports whether a start is to pass over a file with this text.
func (h *held) passes(text []byte, unreadable error) bool {
	return !h.over || unreadable == nil && digestOf(text) == h.refused
}

// note remembers that a start has passed a file over: as it is now it is not taken at
// the next one either. What cannot be noted is passed over again all the same.
func (b *Beginning) note(text []byte, unreadable error) {
	if unreadable != nil {
		return
	}
	if err := b.store.save(&held{over: true, refused: digestOf(text), text: b.text}); err != nil {
		b.broken = err.Error()
	}
}

// Tell logs what is not as one who wrote the file expects.
func (b *Beginning) Tell(log *slog.Logger) {
	if b.broken != "" {
		log.Warn("the configuration that was confirmed last is not kept as it should be", "file", b.store.path, "err", b.broken)
	}
	if b.passed {
		log.Warn("what the configuration file has was not confirmed: the gateway runs by the one before", "file", b.file, "runs", b.store.path,
			"mend", fmt.Sprintf("`vxgw check --diff -c %s` says what the file would do, and `vxgw reload --confirm 60s` tries it again", b.file))
	}
}
