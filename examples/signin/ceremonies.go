package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// ceremony is what must be remembered between the options for a key and the key's answer to them.
type ceremony struct {
	webauthn.SessionData
	user user   // whose key is asked, unless the key tells
	way  string // of signing in; empty to register
	name string // of the key to be registered
}

// The ways to sign in with a key.
const (
	secondFactor      = "second factor"
	insteadOfPassword = "instead of the password"
	withoutName       = "without a user name"
)

func (s *site) registerOptions(r *request) (answer, error) {
	var form struct{ Name string }
	if json.Unmarshal(r.body, &form) != nil || !validName(form.Name) {
		return answer{}, problem{http.StatusBadRequest, "Give the key a name of 1 to 64 characters."}
	}
	u := r.account.user((*key).any)
	options, data, err := s.webauthn.BeginRegistration(u,
		webauthn.WithExclusions(u.descriptors()),
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementPreferred, // so that it can tell who the user is
			UserVerification: protocol.VerificationPreferred,           // so that it can replace the password
		}),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()))
	if err != nil {
		return answer{}, err
	}
	r.session.ceremony = &ceremony{SessionData: *data, user: u, name: form.Name}
	return answer{json: options}, nil
}

func (s *site) register(r *request) (answer, error) {
	c, err := r.session.takeCeremony(func(c *ceremony) bool { return c.way == "" && c.user.name == r.account.Name })
	if err != nil {
		return answer{}, err
	}
	response, err := protocol.ParseCredentialCreationResponseBytes(r.body)
	if err != nil {
		return answer{}, s.refuse(err)
	}
	credential, err := s.webauthn.CreateCredential(c.user, c.SessionData, response)
	if err != nil {
		return answer{}, s.refuse(err)
	}
	if s.store.hasKey(credential.ID) { // WebAuthn Level 3, section 7.1, step 26: else one key would be of two accounts
		return answer{}, s.refuse(errors.New("the key is registered already"))
	}
	k := &key{Name: c.name, Credential: *credential, Created: time.Now()}
	r.account.Keys = append(r.account.Keys, k)
	s.log.Info("key registered", "user", r.account.Name, "key", k.Name, "verifies", k.Verifies(), "resident", k.Resident())
	r.session.notice = "The key is registered."
	return answer{location: "/"}, s.store.save()
}

func (s *site) signinOptions(r *request) (answer, error) {
	var form struct{ Way, Name string }
	if json.Unmarshal(r.body, &form) != nil {
		return answer{}, problem{http.StatusBadRequest, "The request makes no sense."}
	}
	c := &ceremony{way: form.Way}
	var options *protocol.CredentialAssertion
	var data *webauthn.SessionData
	var err error
	switch form.Way {
	case secondFactor:
		c.user = s.userNamed(r.session.waiting, (*key).Enabled)
		options, data, err = s.webauthn.BeginLogin(c.user, // the password has told who the user is
			webauthn.WithUserVerification(protocol.VerificationDiscouraged))
	case insteadOfPassword:
		c.user = s.userNamed(form.Name, (*key).alone)
		options, data, err = s.webauthn.BeginLogin(c.user,
			webauthn.WithUserVerification(protocol.VerificationRequired))
	case withoutName:
		options, data, err = s.webauthn.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	default:
		err = problem{http.StatusBadRequest, "There is no such way to sign in."}
	}
	if err != nil {
		return answer{}, err
	}
	c.SessionData = *data
	r.session.ceremony = c
	return answer{json: options}, nil
}

func (s *site) signin(r *request) (answer, error) {
	c, err := r.session.takeCeremony(func(c *ceremony) bool { return c.way != "" })
	if err != nil {
		return answer{}, err
	}
	response, err := protocol.ParseCredentialRequestResponseBytes(r.body)
	if err != nil {
		return answer{}, s.refuse(err)
	}
	a, credential, err := s.validate(c, response)
	if err != nil {
		return answer{}, s.refuse(err)
	}
	k := a.keyWith(credential.ID)
	if k == nil || k.Disabled || credential.Authenticator.CloneWarning {
		return answer{}, s.refuse(errors.New("the key was removed, disabled or copied"))
	}
	k.Credential, k.LastUsed = *credential, time.Now()
	s.log.Info("signed in", "user", a.Name, "way", c.way, "key", k.Name)
	return s.startSession(r, a)
}

// validate returns whose the credential is, and its new state. Only those that options were made for can pass.
func (s *site) validate(c *ceremony, response *protocol.ParsedCredentialAssertionData) (*account, *webauthn.Credential, error) {
	if c.way != withoutName {
		credential, err := s.webauthn.ValidateLogin(c.user, c.SessionData, response)
		return s.store.Accounts[c.user.name], credential, err
	}
	find := func(_, handle []byte) (webauthn.User, error) {
		return s.store.userWithHandle(handle, (*key).alone)
	}
	u, credential, err := s.webauthn.ValidatePasskeyLogin(find, c.SessionData, response)
	if err != nil {
		return nil, nil, err
	}
	return s.store.Accounts[u.WebAuthnName()], credential, nil
}
