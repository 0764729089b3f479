package virtual

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Values of parameter enterpriseAttestation, section 7.1.
const (
	vendorFacilitated = 1
	platformManaged   = 2
)

// attestsForEnterprises reports whether the key needs a certificate for it, switched on or not.
func (c *Config) attestsForEnterprises() bool {
	return c.EnterpriseAttestation || c.Faults.EnterpriseUnasked
}

// checkEnterpriseAttestation is section 6.1.2, step 9.
func (a *Authenticator) checkEnterpriseAttestation(kind uint) error {
	switch {
	case !a.has(optionEP) || !a.state.Settings.EnterpriseAttestation:
		return ctap2.ErrInvalidParameter
	case kind != vendorFacilitated && kind != platformManaged:
		return ctap2.ErrInvalidOption
	}
	return nil
}

// attestsForEnterprise reports whether the new credential comes with an attestation that tells this key from others: on
// behalf of the platform, or for those whom the vendor has put on a list. Others get a usual one.
func (a *Authenticator) attestsForEnterprise(req *ctap2.MakeCredentialRequest) bool {
	switch req.EnterpriseAttestation {
	case platformManaged:
		return true
	case vendorFacilitated:
		return slices.Contains(a.config.EnterpriseRPIDs, req.RP.ID)
	}
	return a.config.Faults.EnterpriseUnasked
}

// oidSerialNumber is id-fido-gen-ce-sernum, WebAuthn Level 3 section 8.2.2.
var oidSerialNumber = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 2}

func serialNumberExtension() pkix.Extension {
	const octetString, size = 0x04, 16
	value := make([]byte, 2+size)
	value[0], value[1] = octetString, size
	rand.Read(value[2:])
	return pkix.Extension{Id: oidSerialNumber, Value: value}
}
