package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// What follows a # is for people: whoever pastes a line into a shell pastes that, too.
const (
	installRules = "keyfob doctor --udev-rules | sudo tee /etc/udev/rules.d/70-keyfob.rules && " +
		"sudo udevadm control --reload && " + applyRules
	applyRules = "sudo udevadm trigger --subsystem-match=hidraw"
	logInAgain = " # and log in again"
)

// What confines programs, in the words of [site].
const (
	inDocker    = "docker"
	inPodman    = "podman"
	inContainer = "container"
	inSnap      = "snap"
	inFlatpak   = "flatpak"
	inWSL       = "WSL"
)

// adviceOn tells what to do about a key that cannot be used.
func (s *site) adviceOn(key hid.Info, err error) advice {
	if errors.Is(err, errSilent) {
		return advice{exitError, "pull the key and plug it in again"}
	}
	a := adviceOn(err)
	switch authenticator.KindOf(err) {
	case authenticator.KindPermission:
		a.next = s.permit(key.Path)
	case authenticator.KindBusy:
		a.next = endHolder(err)
	case authenticator.KindRemoved, authenticator.KindNoDevice:
		a.next = "plug the key in again"
	case authenticator.KindProtocol:
		a.next = "pull the key and plug it in again; if that does not help, it is broken or no FIDO key"
	}
	return a
}

var holder = regexp.MustCompile(`held by (\S+) \(PID (\d+)\)`)

// endHolder says how to end the program that holds a key, which package hid names if it can.
func endHolder(err error) string {
	if m := holder.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("let %s finish, or end it: kill %s", m[1], m[2])
	}
	return "close the program that uses the key"
}

// permit says how a user gets at a node.
func (s *site) permit(path string) string {
	node := s.nodes[path]
	group, open := openGroup(node)
	switch {
	case s.confined != "" && s.confined != inWSL:
		return s.passIn(path)
	case node == "":
		return s.allow
	case open && group != "root":
		return fmt.Sprintf("sudo usermod -aG %s %s%s", group, s.user, logInAgain)
	case !s.udev:
		return fmt.Sprintf("sudo chown %s %s # until it is pulled: udev, which would do it for good, does not run", s.user, path)
	case len(s.rules) == 0:
		return installRules
	case s.remote: // who does not sit at the machine gets nothing of what the rules give
		return fmt.Sprintf("sudo groupadd -f plugdev && sudo usermod -aG plugdev %s && %s%s", s.user, installRules, logInAgain)
	}
	return applyRules + " # or pull the key and plug it in again: there are rules, but they came later"
}

// openGroup returns the group of what site says of a node, and whether its members may use it.
func openGroup(node string) (group string, open bool) {
	owners, mode, _ := strings.Cut(node, " ")
	_, group, _ = strings.Cut(owners, ":")
	return group, len(mode) == 9 && mode[3:5] == "rw"
}

// passIn says how to let a program that is shut in at a node.
func (s *site) passIn(path string) string {
	switch s.confined {
	case inDocker:
		return fmt.Sprintf("start the container with: docker run --device %s; if its user is not root, also --group-add "+
			"with the number of the node's group", path)
	case inPodman:
		return fmt.Sprintf("start the container with: podman run --device %s --group-add keep-groups", path)
	case inSnap:
		return fmt.Sprintf("sudo snap connect %s:u2f-devices", orElse(s.name, "NAME"))
	case inFlatpak:
		return fmt.Sprintf("flatpak override --user --device=all %s # and start it again", orElse(s.name, "APP"))
	}
	return fmt.Sprintf("pass %s in to the container, readable and writable for %s", path, s.user)
}

func orElse(name, placeholder string) string {
	if name == "" {
		return placeholder
	}
	return name
}

// adviceOnNoKey tells what to do when there is none.
func (s *site) adviceOnNoKey() advice {
	switch {
	case s.confined == inWSL:
		return advice{exitNoDevice, "in Windows, as administrator: usbipd list, usbipd bind --busid ID and usbipd attach --wsl --busid ID"}
	case s.confined != "":
		return advice{exitNoDevice, "plug a key in, and then " + s.passIn("/dev/hidraw0") +
			` (on the host, "keyfob list" shows the node)`}
	case s.hiddenSysfs && len(s.nodes) > 0:
		return advice{exitPermission, "mount -t sysfs sysfs /sys, or run keyfob as root: without sysfs only who may open " +
			"a node sees what it is"}
	}
	return advice{exitNoDevice, noKeyHint}
}
