package zmqloop

import (
	"net"
	"net/netip"
	"strings"

	"faasctl/core"
)

// Address reads tcp://host:port, or host:port alone, and returns the form that
// sockets take.
func Address(text string) (string, error) {
	rest, found := strings.CutPrefix(text, "tcp://")
	if !found && strings.Contains(text, "://") {
		return "", badAddress(text, "only tcp:// is spoken")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		return "", badAddress(text, "host and port are needed")
	}
	if host == "" || port == "" || strings.ContainsAny(host, " /;@*") {
		return "", badAddress(text, "host and port are needed")
	}
	if port != "*" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			return "", badAddress(text, port+" is no port")
		}
	}
	return "tcp://" + net.JoinHostPort(host, port), nil
}

func badAddress(text, why string) error {
	return core.Errorf(core.ErrInvalid, "", "%q is no address of a dispatcher: %s", text, why).WithHint("write tcp://HOST:PORT, such as tcp://127.0.0.1:5555")
}

// CheckReach refuses an address that other machines can reach, or are reached
// by, unless the connection is encrypted or somebody insists.
func CheckReach(address string, curve, insecure bool) error {
	if curve || insecure || loopback(address) {
		return nil
	}
	return core.Errorf(core.ErrForbidden, "", "%s is not of this machine alone, and the connection would be open to all", address).
		WithHint("make keys with faasctl keys new and give --curve (and --allow, or --server-key), or insist with --insecure")
}

func host(address string) string {
	host, _, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		return ""
	}
	return host
}

func loopback(address string) bool {
	if host(address) == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host(address))
	return err == nil && ip.Unmap().IsLoopback()
}

func isIPv6(address string) bool { return strings.Contains(host(address), ":") }
