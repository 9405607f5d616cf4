package path

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPromiscuous(t *testing.T) {
	n := parent(t)
	m := follow(t, n)
	index := link(t, m, "und0").Index
	for _, want := range []bool{true, true, false, false} {
		must(t, n.Do(func() error { return SetPromiscuous(index, want) }))
		must(t, n.Do(func() error {
			is, err := IsPromiscuous(index)
			if is != want {
				t.Errorf("promiscuous: %t", is)
			}
			return err
		}))
	}
	const gone = 1 << 30
	must(t, n.Do(func() error {
		if err := SetPromiscuous(gone, true); !errors.Is(err, unix.ENODEV) {
			t.Errorf("where there is no interface: %v", err)
		}
		if _, err := IsPromiscuous(gone); !errors.Is(err, unix.ENODEV) {
			t.Errorf("where there is no interface: %v", err)
		}
		return nil
	}))
}
