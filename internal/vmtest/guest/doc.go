// Package guest holds the tests that run inside the virtual machine of package vmtest, as root, with the modules for
// USB/IP and uhid loaded, the fido2-tools and the keyfob command in /bin, and no other program. TestVM of package
// vmtest runs them; on any other system they do nothing.
package guest
