// Package winguest holds tests that run as a Windows program, under Wine in the virtual machine of package vmtest. Package
// guest starts each with the key that it wants plugged in, and pulls the key when the test says so. On any other system
// they do nothing.
package winguest
