package ctap2

import (
	"crypto/ecdh"
	"crypto/rand"
)

// entropy is where a Client takes its randomness from. Golden vectors need it fixed; everybody else leaves it nil.
type entropy interface {
	privateKey() (*ecdh.PrivateKey, error)
	readIV(iv []byte)
}

type systemEntropy struct{}

func (systemEntropy) privateKey() (*ecdh.PrivateKey, error) {
	return ecdh.P256().GenerateKey(rand.Reader)
}

func (systemEntropy) readIV(iv []byte) { randomIV(iv) }

func (c *Client) random() entropy {
	if c.entropy != nil {
		return c.entropy
	}
	return systemEntropy{}
}
