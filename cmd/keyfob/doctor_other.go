//go:build !linux && !windows

package main

import "github.com/keyfob-go/keyfob/authenticator"

// survey has nothing to add: what these systems want is in the error of package hid.
func survey() site { return site{allow: hints[authenticator.KindPermission]} }
