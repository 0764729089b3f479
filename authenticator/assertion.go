package authenticator

import (
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// assertionCheck is what each of the assertions that answer one request is held against.
type assertionCheck struct {
	expectation
	opts        *AssertionOptions
	allow       []ctap2.CredentialDescriptor
	secret      *ctap2.SharedSecret // nil unless secrets were asked for
	credBlobMax uint64
	inflated    uint64 // bytes of large blobs so far
}

func (c *assertionCheck) assertion(resp *ctap2.GetAssertionResponse) (*Assertion, error) {
	data, err := c.check(resp.AuthData)
	if err != nil {
		return nil, err
	}
	id, err := credentialID(c.allow, resp.Credential)
	if err != nil {
		return nil, err
	}
	if len(c.allow) == 0 && (resp.User == nil || len(resp.User.ID) == 0) {
		return nil, fmt.Errorf("%w: a resident key without a user", ErrInvalidResponse)
	}
	if resp.User != nil && len(resp.User.ID) > maxUserID {
		return nil, fmt.Errorf("%w: user ID of %d bytes", ErrInvalidResponse, len(resp.User.ID))
	}
	assertion := &Assertion{
		CredentialID:       id,
		User:               resp.User,
		UserSelected:       resp.UserSelected,
		AuthData:           resp.AuthData,
		AuthenticatorData:  data,
		Signature:          resp.Signature,
		UnsignedExtensions: resp.UnsignedExtensionOutputs,
	}
	if err := c.takeSigned(assertion); err != nil {
		return nil, err
	}
	if err := c.takeUnsigned(assertion, resp); err != nil {
		return nil, err
	}
	return assertion, nil
}

// credentialID returns which credential signed. A CTAP 2.0 key may leave that out if there was but one to choose from.
func credentialID(allow []ctap2.CredentialDescriptor, got *ctap2.CredentialDescriptor) ([]byte, error) {
	if got == nil && len(allow) == 1 {
		return allow[0].ID, nil
	}
	if got == nil || len(got.ID) == 0 {
		return nil, fmt.Errorf("%w: no credential in it", ErrInvalidResponse)
	}
	if len(allow) > 0 && !lists(allow, got.ID) {
		return nil, fmt.Errorf("%w: a credential that was not allowed", ErrInvalidResponse)
	}
	return got.ID, nil
}

// takeSigned takes the extension outputs from the authenticator data that were asked for.
func (c *assertionCheck) takeSigned(assertion *Assertion) (err error) {
	if c.secret == nil && !c.opts.CredBlob && !c.opts.ThirdPartyPayment {
		return nil // nothing can be wrong with outputs that nobody reads
	}
	var outputs ctap2.GetAssertionOutputs
	if err := decodeExtensions(assertion.AuthenticatorData, &outputs); err != nil {
		return err
	}
	if c.opts.CredBlob {
		if outputs.CredBlob == nil || uint64(len(outputs.CredBlob)) > c.credBlobMax {
			return fmt.Errorf("%w: credBlob missing or of the wrong size", ErrInvalidResponse)
		}
		assertion.CredBlob = outputs.CredBlob
	}
	assertion.ThirdPartyPayment = c.opts.ThirdPartyPayment && outputs.ThirdPartyPayment
	assertion.HMACSecrets, err = hmacSecrets(c.secret, outputs.HMACSecret, len(c.opts.HMACSecretSalts))
	return err
}

// takeUnsigned takes the outputs from outside of the authenticator data that were asked for.
func (c *assertionCheck) takeUnsigned(assertion *Assertion, resp *ctap2.GetAssertionResponse) (err error) {
	assertion.LargeBlobKey, err = checkLargeBlobKey(resp.LargeBlobKey, c.opts.LargeBlobKey, false)
	if err != nil || !c.opts.usesLargeBlob() {
		return err
	}
	outputs, err := resp.UnsignedOutputs()
	if err != nil {
		return err
	}
	assertion.LargeBlobWritten = len(c.opts.LargeBlobWrite) > 0 && outputs.LargeBlob.Written
	if c.opts.LargeBlobRead && outputs.LargeBlob.Blob != nil {
		assertion.LargeBlob, err = c.inflate(outputs.LargeBlob)
	}
	return err
}

// inflate returns a large blob. All together are no larger than one may be.
func (c *assertionCheck) inflate(output ctap2.LargeBlobOutput) ([]byte, error) {
	if output.OriginalSize > ctap2.MaxLargeBlob-c.inflated {
		return nil, fmt.Errorf("%w: large blobs of too many bytes", ErrInvalidResponse)
	}
	c.inflated += output.OriginalSize
	blob, err := ctap2.InflateLargeBlob(output.Blob, output.OriginalSize)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidResponse, err)
	}
	return blob, nil
}
