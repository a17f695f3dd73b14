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

// Bindable reads the IP address to listen on, with or without brackets. localhost
// is 127.0.0.1; libzmq would take it, and every other name, for that of a network
// interface.
func Bindable(text string) (netip.Addr, error) {
	if text == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return ip, core.Errorf(core.ErrInvalid, "", "%q is not an IP address to listen on", text).
			WithHint("name one of this machine's (ip addr lists them), or 0.0.0.0 for all of them")
	}
	return ip, nil
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
