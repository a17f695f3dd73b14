//go:build !linux

package httpapi

import (
	"errors"
	"net/netip"
)

// peerLookup says whether this system can tell whose a local connection is.
const peerLookup = false

func peerUID(remote, local netip.AddrPort) (uint32, error) {
	return 0, errors.New("this system cannot tell whose a local connection is")
}
