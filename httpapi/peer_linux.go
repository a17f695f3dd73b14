package httpapi

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// peerLookup says whether this system can tell whose a local connection is.
const peerLookup = true

var errNotEstablished = errors.New("the peer's socket is closed or closing")

// Layout of the kernel's inet_diag_req_v2 and inet_diag_msg.
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	established  = 1  // TCP_ESTABLISHED
	requestSize  = unix.SizeofNlMsghdr + 56
	replySize    = unix.SizeofNlMsghdr + 72
	idOffset     = 8 // of the socket's id in a request
	replyID      = 4 // of the socket's id in a reply
	offsetUID    = 64
	offsetInode  = 68
)

// peerUID returns the uid that owns the socket at the other end of a TCP
// connection on this machine, by one exact question to the kernel. remote is
// the peer's address, local ours. The peer's socket must be established and
// belong to somebody: one that has sent and closed has no owner any more and
// would show uid 0.
func peerUID(remote, local netip.AddrPort) (uint32, error) {
	remote, local = unmap(remote), unmap(local)
	reply, err := askDiag(diagRequest(remote, local))
	if err != nil {
		return 0, err
	}
	return readDiag(reply, remote, local)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// diagRequest asks for the one socket whose own end is remote.
func diagRequest(remote, local netip.AddrPort) []byte {
	message := make([]byte, requestSize)
	native := binary.NativeEndian
	native.PutUint32(message[0:], requestSize)
	native.PutUint16(message[4:], diagByFamily)
	native.PutUint16(message[6:], unix.NLM_F_REQUEST)
	native.PutUint32(message[8:], 1)
	body := message[unix.SizeofNlMsghdr:]
	body[0] = unix.AF_INET
	if remote.Addr().Is6() {
		body[0] = unix.AF_INET6
	}
	body[1] = unix.IPPROTO_TCP
	native.PutUint32(body[4:], 1<<established)
	id := body[idOffset:]
	binary.BigEndian.PutUint16(id[0:], remote.Port())
	binary.BigEndian.PutUint16(id[2:], local.Port())
	copy(id[4:20], remote.Addr().AsSlice())
	copy(id[20:36], local.Addr().AsSlice())
	native.PutUint32(id[40:], ^uint32(0)) // any cookie
	native.PutUint32(id[44:], ^uint32(0))
	return message
}

func askDiag(request []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, err
	}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	reply := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(fd, reply, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Anybody may send to a netlink socket; only the kernel is port 0.
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			return reply[:n], nil
		}
	}
}

func readDiag(reply []byte, remote, local netip.AddrPort) (uint32, error) {
	native := binary.NativeEndian
	if len(reply) < unix.SizeofNlMsghdr+4 {
		return 0, errors.New("the kernel's answer is too short")
	}
	body := reply[unix.SizeofNlMsghdr:]
	switch kind := native.Uint16(reply[4:]); {
	case kind == unix.NLMSG_ERROR:
		if errno := -int32(native.Uint32(body)); errno != 0 && unix.Errno(errno) != unix.ENOENT {
			return 0, unix.Errno(errno)
		}
		return 0, errNotEstablished
	case kind != diagByFamily || len(reply) < replySize:
		return 0, errors.New("the kernel's answer is of another kind")
	}
	gotRemote, gotLocal := readDiagID(body[0], body[replyID:])
	if gotRemote != remote || gotLocal != local || body[1] != established || native.Uint32(body[offsetInode:]) == 0 {
		return 0, errNotEstablished
	}
	uid := native.Uint32(body[offsetUID:])
	if uid == overflowUID && inUserNamespace {
		return 0, errors.New("the peer's user has no number in this user namespace")
	}
	return uid, nil
}

func readDiagID(family byte, id []byte) (remote, local netip.AddrPort) {
	read := func(at int) netip.Addr {
		if family == unix.AF_INET {
			return netip.AddrFrom4([4]byte(id[at:]))
		}
		return netip.AddrFrom16([16]byte(id[at:])).Unmap()
	}
	return netip.AddrPortFrom(read(4), binary.BigEndian.Uint16(id[0:])), netip.AddrPortFrom(read(20), binary.BigEndian.Uint16(id[2:]))
}

// overflowUID stands for every user that a user namespace does not map.
const overflowUID = 65534

var inUserNamespace = func() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
}()
