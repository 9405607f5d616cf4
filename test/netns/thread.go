package netns

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// threadNS names the calling thread's network namespace.
const threadNS = "/proc/thread-self/ns/net"

// Do runs fn on a thread inside the namespace and returns its error. Sockets
// and processes that fn makes stay in the namespace; goroutines that it starts
// run outside. A panic of fn, and a runtime.Goexit as testing.T.FailNow does
// it, happen to the caller.
func (n *NS) Do(fn func() error) error {
	fd, err := n.dup()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return onOwnThread(func() error {
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %v: %w", n, err)
		}
		return fn()
	})
}

// ending is how a function ended: it returned err, or it panicked, or neither,
// which is runtime.Goexit.
type ending struct {
	err      error
	returned bool
	panicked any
	stack    []byte
}

// onOwnThread runs fn, which may change the thread's network namespace, on a
// thread that nothing else runs on. The thread goes back to the pool only when
// its namespace could be restored; otherwise it ends with the goroutine that is
// locked to it.
func onOwnThread(fn func() error) error {
	done := make(chan ending, 1)
	go func() {
		var e ending
		defer func() { done <- e }()
		runtime.LockOSThread()
		home, err := unix.Open(threadNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			runtime.UnlockOSThread()
			e = ending{err: fmt.Errorf("open %s: %w", threadNS, err), returned: true}
			return
		}
		defer func() {
			if unix.Setns(home, unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			unix.Close(home)
		}()
		defer func() {
			if !e.returned {
				e.panicked, e.stack = recover(), debug.Stack()
			}
		}()
		e.err = fn()
		e.returned = true
	}()
	e := <-done
	switch {
	case e.panicked != nil:
		panic(fmt.Sprintf("%v\n\n%s", e.panicked, e.stack))
	case !e.returned:
		runtime.Goexit()
	}
	return e.err
}
