//go:build race

package udp

func init() { raceEnabled = true }
