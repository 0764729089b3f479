// Package vmtest runs the tests of package guest in a small virtual machine, against true /dev/hidraw devices that
// need neither hardware nor rights on this system:
//
//	internal/vmtest/fetch.sh                    # once: Debian's kernel and fido2-tools into a cache
//	go test -count=1 -v ./internal/vmtest       # boots, runs every guest test, reports each as a subtest of TestVM
//
// See README.md for what it needs and for what is worth knowing before changing it.
package vmtest
