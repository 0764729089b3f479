//go:build race

package authenticator

const raceEnabled = true
