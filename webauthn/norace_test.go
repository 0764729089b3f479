//go:build !race

package webauthn

const raceEnabled = false
