package netns

import (
	"fmt"
	"os"
	"sync"
)

// TB is what Require needs of a testing.TB. Naming it here keeps package
// testing out of the programs that build networks.
type TB interface {
	Helper()
	Skip(args ...any)
}

// Require skips the test unless network namespaces can be made.
func Require(t TB) {
	t.Helper()
	if err := available(); err != nil {
		t.Skip(fmt.Sprintf("needs root and network namespaces (%v); `make test` provides them", err))
	}
}

var available = sync.OnceValue(func() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("running as uid %d", os.Geteuid())
	}
	n, err := New("")
	if err != nil {
		return err
	}
	return n.Close()
})
