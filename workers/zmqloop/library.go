package zmqloop

import (
	"fmt"

	"github.com/pebbe/zmq4"
)

// Library returns the version of the libzmq in use and whether it was built
// with CURVE encryption, which workers on other machines need.
func Library() (version string, curve bool) {
	major, minor, patch := zmq4.Version()
	return fmt.Sprintf("%d.%d.%d", major, minor, patch), zmq4.HasCurve()
}
