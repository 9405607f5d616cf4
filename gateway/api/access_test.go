package api

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A group that every Linux has, and its number everywhere (Filesystem Hierarchy
// Standard, LSB core section 22.2).
const (
	someGroup = "daemon"
	someGID   = 1
	nobody    = 65534
)

func TestAccess(t *testing.T) {
	group := uint32(4242)
	if gid, ok := groupID(Group); ok {
		group = gid
	}
	tests := []struct {
		name      string
		readGroup string
		peer      peer
		want      rights
	}{
		{"root", "", peer{}, mayWrite},
		{"the gateway's own user", "", peer{uid: 4711, gids: []uint32{nobody}}, mayWrite},
		{"in the group", "", peer{uid: 1000, gids: []uint32{group}}, mayWrite},
		{"also in the group", someGroup, peer{uid: 1000, gids: []uint32{7, someGID, group}}, mayWrite},
		{"in another", "", peer{uid: 1000, gids: []uint32{7, someGID}}, mayNothing},
		{"in no group", "", peer{uid: 1000}, mayNothing},
		{"a reader", someGroup, peer{uid: 1000, gids: []uint32{7, someGID}}, mayRead},
		{"no reader", someGroup, peer{uid: 1000, gids: []uint32{7}}, mayNothing},
		{"readers' group is not there", "no-such-group", peer{uid: 1000, gids: []uint32{0, someGID}}, mayNothing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := access{self: 4711, group: 4242, readGroup: test.readGroup}
			if got := a.of(&test.peer); got != test.want {
				t.Errorf("may %d, want %d", got, test.want)
			}
		})
	}
}

// askEnv names, for a child of the tests, the socket that it is to ask at.
const askEnv = "VXGW_TEST_ASK"

// askAsChild asks once and prints the answer.
func askAsChild(socket, method, path string) int {
	req, err := http.NewRequest(method, "http://vxgw"+path, strings.NewReader(`{"port":"eth1","frame":"ff"}`))
	if err == nil {
		var resp *http.Response
		if resp, err = socketClient(socket).Do(req); err == nil {
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			fmt.Printf("%d %s", resp.StatusCode, text)
			return 0
		}
	}
	fmt.Print(NewClient(socket).unreachable(err))
	return 0
}

// askAs asks at a socket as another user.
func askAs(t *testing.T, socket, method, path string, who syscall.Credential) string {
	t.Helper()
	c := exec.Command("/proc/self/exe", method, path) // the test itself, which others may not look up
	c.Env, c.Dir = []string{askEnv + "=" + socket}, "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &who}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("asking as %+v: %v\n%s", who, err, out)
	}
	return string(out)
}

// TestPeers holds, with other users' processes, that the kernel says who asks, and that
// he gets what he may.
func TestPeers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be somebody else needs root; `make test` provides it")
	}
	group := uint32(os.Getegid())
	if gid, ok := groupID(Group); ok {
		group = gid
	}
	var log syncBuffer
	s, _ := start(t, busy(), func(o *Options) {
		o.Socket = reachable(t) + "/s"
		o.ReadGroup = someGroup
		o.Commit = &committer{}
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if info, err := os.Stat(s.opts.Socket); err != nil || info.Mode() != fs.ModeSocket|0o666 {
		t.Errorf("the socket has mode %v (%v)", info.Mode(), err)
	}
	stranger := syscall.Credential{Uid: nobody, Gid: nobody}
	reader := syscall.Credential{Uid: nobody, Gid: someGID}
	second := syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{7, someGID}}
	writer := syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{group}}
	tests := []struct {
		name, method, path string
		who                syscall.Credential
		want               string
	}{
		{"a stranger asks", "GET", "/v1/ports", stranger, `403 {"error":"vxgw may not be asked by uid 65534: be root, or join group daemon to read, or group vxgw to change things too, and log in anew"}`},
		{"a stranger asks what there is not", "GET", "/v1/nope", stranger, "403 "},
		{"a stranger writes", "POST", "/v1/reload", stranger, "403 "},
		{"a reader asks", "GET", "/v1/ports", reader, "200 ["},
		{"a reader by another group", "GET", "/v1/ports", second, "200 ["},
		{"a reader has a frame explained", "POST", "/v1/explain", reader, "200 {"},
		{"a reader writes", "POST", "/v1/reload", reader, `403 {"error":"vxgw may not be told to change anything by uid 65534: be root, or join group vxgw, and log in anew"}`},
		{"a writer asks", "GET", "/v1/ports", writer, "200 ["},
		{"a writer writes", "POST", "/v1/confirm", writer, "200 {"},
		{"root writes", "POST", "/v1/confirm", syscall.Credential{Gid: nobody, NoSetGroups: true}, "200 {"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := askAs(t, s.opts.Socket, test.method, test.path, test.who); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	text := log.String()
	if n := strings.Count(text, "told by the control socket"); n != 2 {
		t.Errorf("two changed something, and the log has %d:\n%s", n, text)
	}
	for _, want := range []string{"method=POST path=/v1/confirm status=200 uid=65534 pid=", "method=POST path=/v1/confirm status=200 uid=0 pid="} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the log does not have %q once:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "refused at the control socket"); n != 1 {
		t.Errorf("five were refused, and the log tells of %d, want one:\n%s", n, text)
	}
}

// TestNoReaders holds that without a group of readers the socket is as it always was.
func TestNoReaders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be somebody else needs root; `make test` provides it")
	}
	for _, group := range []string{"", "no-such-group"} {
		s, _ := start(t, busy(), func(o *Options) { o.Socket, o.ReadGroup = reachable(t)+"/s", group })
		if info, err := os.Stat(s.opts.Socket); err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("the socket has mode %v (%v)", info.Mode(), err)
		}
		got := askAs(t, s.opts.Socket, "GET", "/v1/ports", syscall.Credential{Uid: nobody, Gid: nobody})
		if !strings.Contains(got, "you are not root or in group vxgw") {
			t.Errorf("it says %q", got)
		}
	}
}

// reachable returns a directory that everybody may go through.
func reachable(t *testing.T) string {
	t.Helper()
	defer unix.Umask(unix.Umask(0o022))
	dir, err := os.MkdirTemp("", "vxgw-api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
