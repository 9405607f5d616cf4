package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes beside 0.
const (
	exitFailure = 1 // it could not be done
	exitInvalid = 2 // the command line or the configuration is wrong
)

// coded is an error with the exit code that it calls for.
type coded struct {
	error
	code int
	hint bool // say where help is
	said bool // it was told already
}

func (c coded) Unwrap() error { return c.error }

// usage marks an error as the command line's.
func usage(err error) error { return coded{error: err, code: exitInvalid, hint: true} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// invalid marks an error as the configuration's.
func invalid(err error) error { return coded{error: err, code: exitInvalid} }

// report writes err for people, and returns the exit code.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	var c coded
	if !errors.As(err, &c) {
		c = coded{error: err, code: exitFailure}
	}
	switch {
	case c.said:
	case errors.Is(err, context.Canceled): // the user's own interrupt needs no words
	case c.code == exitInvalid && !c.hint:
		fmt.Fprintln(stderr, err) // FILE:LINE:COL first, as editors read it
	default:
		fmt.Fprintf(stderr, "error: %v\n", err)
	}
	if c.hint {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return c.code
}

// noArgs is cobra.NoArgs in other words: its own speak of an unknown command.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("%s takes flags only: %q is too much", cmd.CommandPath(), args[0])
}

// wantCommand is what a command says that only has commands below it.
func wantCommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	list := strings.Join(names, ", ")
	if len(args) == 0 {
		return usagef("%s what? Name one of %s", cmd.CommandPath(), list)
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("%s has no %q: did you mean %s?", cmd.CommandPath(), args[0], strings.Join(near, " or "))
	}
	return usagef("%s has no %q: there is %s", cmd.CommandPath(), args[0], list)
}
