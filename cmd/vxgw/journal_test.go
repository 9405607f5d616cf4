package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// journalSocket is a journald that keeps nothing: entry returns what came last.
func journalSocket(t *testing.T) (path string, entry func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		b := make([]byte, 1<<16)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestJournalFields(t *testing.T) {
	path, entry := journalSocket(t)
	var rest bytes.Buffer
	log := slog.New(newJournalHandler(&rest, &slog.HandlerOptions{Level: slog.LevelInfo}, path))
	const head = "SYSLOG_IDENTIFIER=vxgw\n"
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"message alone", func() { log.Info("ready") },
			"PRIORITY=6\n" + head + "MESSAGE=ready\nVXGW_EVENT=ready\n"},
		{"attributes", func() {
			log.Warn("port down", "port", "eth1", "vtep", netip.MustParseAddr("192.0.2.1"), "mend", "raise its MTU", "n", 3)
		},
			"PRIORITY=4\n" + head + "MESSAGE=port down port=eth1 vtep=192.0.2.1 mend=\"raise its MTU\" n=3\nVXGW_EVENT=port down\n" +
				"VXGW_PORT=eth1\nVXGW_VTEP=192.0.2.1\nVXGW_MEND=raise its MTU\nVXGW_N=3\n"},
		{"several lines", func() { log.Error("no", "err", errors.New("a\nb")) },
			"PRIORITY=3\n" + head + "MESSAGE=no err=\"a\\nb\"\nVXGW_EVENT=no\nVXGW_ERR\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n"},
		{"before and in groups", func() {
			log.With("a", 1).WithGroup("g").With("b", 2).Info("m", slog.Group("h", "c-d", true), slog.Attr{})
		},
			"PRIORITY=6\n" + head + "MESSAGE=m a=1 g_b=2 g_h_c-d=true\nVXGW_EVENT=m\nVXGW_A=1\nVXGW_G_B=2\nVXGW_G_H_C_D=true\n"},
		{"empty value", func() { log.Info("m", "a", "") },
			"PRIORITY=6\n" + head + "MESSAGE=m a=\"\"\nVXGW_EVENT=m\nVXGW_A=\n"},
		{"below the level", func() { log.Debug("not this"); log.Info("this") },
			"PRIORITY=6\n" + head + "MESSAGE=this\nVXGW_EVENT=this\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.log()
			if got := entry(); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	if rest.Len() != 0 {
		t.Errorf("standard error has %q", rest.String())
	}
}

// What the journal does not take is on standard error, with its priority.
func TestJournalAbsent(t *testing.T) {
	path, _ := journalSocket(t)
	var rest bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	log := slog.New(newJournalHandler(&rest, opts, path)).With("a", 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	log.Error("it went", "b", 2)
	if got := rest.String(); got != "<3>msg=\"it went\" a=1 b=2\n" {
		t.Errorf("%q", got)
	}
	rest.Reset()
	slog.New(newJournalHandler(&rest, opts, path)).With("a", 1).Warn("never there")
	if got := rest.String(); got != "<4>msg=\"never there\" a=1\n" {
		t.Errorf("%q", got)
	}
}

func TestLogFormat(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	for in, want := range map[string]string{"auto": "text", "text": "text", "json": "json", "journald": "journald"} {
		if got := logFormat(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
