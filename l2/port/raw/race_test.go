//go:build race

package raw

// The race detector has sync.Pool throw things away, to find who holds on.
func init() { raceEnabled = true }
