//go:build manpages

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"vxgw/config"
)

// The program that is run has no use for this command, nor for the library behind it:
// it is there while a package is made (go build -tags manpages).
func init() { packagers = append(packagers, manCommand) }

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the manual pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return writeManual(cmd.Root(), args[0]) },
	}
}

// writeManual writes a page for each command and one for the configuration file into
// dir. Their date is SOURCE_DATE_EPOCH's, in seconds, or today.
func writeManual(root *cobra.Command, dir string) error {
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Hidden = true // for packagers; the package has brought what it writes
		}
	}
	root.DisableAutoGenTag = true
	date, err := manualDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	header := doc.GenManHeader{Section: "8", Date: &date, Source: "vxgw", Manual: "System Administration"}
	if err := doc.GenManTree(root, &header, dir); err != nil {
		return err
	}
	page := config.ManPage(date.Format("2006-01-02"))
	if err := os.WriteFile(filepath.Join(dir, "vxgw.toml.5"), []byte(page), 0o644); err != nil {
		return fmt.Errorf("the configuration's page: %w", err)
	}
	return nil
}

// manualDate is what the same sources are to have the same pages by, whenever they are
// made.
func manualDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, usagef("SOURCE_DATE_EPOCH=%q: write seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
