package doctor

import (
	"io/fs"
	"path/filepath"
	"strings"

	"vxgw/gateway/api"
)

var fileCheck = check{
	name:      "configuration",
	reads:     "the mode of the configuration file, and the warnings that `vxgw check` prints",
	means:     "Who can write the file decides about all traffic: with the next reload it is so. FAIL: the file is not valid, and no gateway starts from it.",
	mend:      "`chmod go-w FILE`, `vxgw check -c FILE`",
	needsFile: true,
	run:       examineFile,
}

// writableByOthers are the bits of those who are neither owner nor reader.
const writableByOthers = 0o022

func examineFile(e *exam) {
	file := e.Config.File
	abs, err := filepath.Abs(file)
	if err != nil {
		e.unseen(file, err)
		return
	}
	info, err := fs.Stat(e.Machine.Files, strings.TrimPrefix(abs, "/"))
	switch {
	case err != nil:
		e.unseen(file, err)
	case info.Mode().Perm()&writableByOthers != 0:
		e.warn("chmod go-w "+file, "%s can be written by others than its owner (%v)", file, info.Mode().Perm())
	default:
		e.ok("%s is for its owner alone to write (%v)", file, info.Mode().Perm())
	}
	if n := len(e.Config.Warnings); n > 0 {
		e.warn("vxgw check -c "+file, "%d warnings, the first is: %s", n, e.Config.Warnings[0].Message)
	}
}

// NoConfig is the finding that there is no valid configuration, and why.
func NoConfig(file string, why error) api.Check {
	first, _, _ := strings.Cut(why.Error(), "\n")
	return api.Check{Name: fileCheck.name, State: api.CheckFail, Says: first, Mend: "vxgw check -c " + file}
}
