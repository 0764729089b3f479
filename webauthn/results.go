package webauthn

import "encoding/json"

// ExtensionResults are what a client answers for extensions: AuthenticationExtensionsClientOutputs, WebAuthn Level 3,
// section 5.8, with the members of its section 10 and of CTAP 2.2, section 12. Nobody signs them. Nil means that the
// client does not answer. The zero value answers nothing.
type ExtensionResults struct {
	// Of registrations.

	AppIDExclude     *bool // appidExclude: the client has acted upon it
	CredProps        *CredentialProperties
	HMACCreateSecret *bool // hmacGetSecret will work
	CredBlob         *bool // it is stored

	// Of authentications.

	AppID         *bool // appid: the credential is one for the AppID, and so is the RP ID hash
	HMACGetSecret *HMACSecrets
	GetCredBlob   []byte // what is stored

	// Of both.

	PRF       *PRFResults
	LargeBlob *LargeBlobResults

	// Other has by their names the outputs of extensions that are not known here, and such as do not look as they must:
	// web pages whose JSON has {} for bytes are common. Members with the name of one above are not encoded.
	Other map[string]json.RawMessage
}

// CredentialProperties is the output of the extension credProps, WebAuthn Level 3, section 10.1.3.
type CredentialProperties struct {
	ResidentKey *bool // rk: the credential is discoverable; nil: the client does not know
}

// HMACSecrets are what the extension hmacGetSecret derived, secret.
type HMACSecrets struct {
	Output1 []byte // 32 bytes
	Output2 []byte // 32 bytes; nil: there was one salt only
}

// PRFResults is the output of the extension prf, WebAuthn Level 3, section 10.1.4.
type PRFResults struct {
	Enabled *bool      // in a registration: the credential can do that
	Results *PRFValues // secret
}

// LargeBlobResults is the output of the extension largeBlob, WebAuthn Level 3, section 10.1.5.
type LargeBlobResults struct {
	Supported *bool  // in a registration: the credential can have one
	Blob      []byte // what was read; nil: nothing
	Written   *bool
}
