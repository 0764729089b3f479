package main

// native is the browser's own WebAuthn, with two virtual authenticators of its own.
type native struct {
	tab  *tab
	keys map[string]string
	last string
}

func newNative(tab *tab) *native {
	tab.t.Helper()
	n := &native{tab: tab, keys: map[string]string{}}
	tab.do("WebAuthn.enable", object{"enableUI": false}, nil)
	for _, name := range []string{desk, pocket} {
		var added struct{ AuthenticatorID string }
		tab.do("WebAuthn.addVirtualAuthenticator", object{"options": object{
			"protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "usb", "hasResidentKey": true,
			"hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": false,
		}}, &added)
		n.keys[name] = added.AuthenticatorID
	}
	return n
}

// plug has the user touch that key only, or none.
func (n *native) plug(key string) {
	for name, id := range n.keys {
		n.tab.do("WebAuthn.setAutomaticPresenceSimulation", object{"authenticatorId": id, "enabled": name == key}, nil)
	}
	n.last = key
}

func (n *native) visit(url string) { n.tab.visit(url) }

func (n *native) verify(act func()) { act() }

func (n *native) mistype(act func()) {
	n.verified(false)
	act()
}

func (n *native) retry(act func()) {
	n.verified(true)
	act()
}

func (n *native) verified(is bool) {
	n.tab.do("WebAuthn.setUserVerified", object{"authenticatorId": n.keys[n.last], "isUserVerified": is}, nil)
}
