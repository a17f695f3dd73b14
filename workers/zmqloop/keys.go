package zmqloop

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/pebbe/zmq4"

	"faasctl/core"
)

// KeyPair is one CURVE key: both halves as Z85, 40 characters.
type KeyPair struct {
	Public string
	Secret string
}

// NewKeyPair makes a key.
func NewKeyPair() (KeyPair, error) {
	public, secret, err := zmq4.NewCurveKeypair()
	if err != nil {
		failed := core.Errorf(core.ErrUnavailable, "make a key", "this libzmq cannot")
		failed.Err = err
		return KeyPair{}, failed
	}
	return KeyPair{public, secret}, nil
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// WriteKeyPair writes dir/name.key, which only its owner may read, and
// dir/name.pub. It overwrites nothing, and leaves nothing behind when it fails:
// ErrInvalid for a bad name or no directory, ErrConflict for a key that exists,
// ErrForbidden for a directory that may not be written to.
func WriteKeyPair(dir, name string, k KeyPair) error {
	if !keyName.MatchString(name) {
		return core.Errorf(core.ErrInvalid, "keys new", "%q cannot name a key", name).WithHint("use letters, digits, _ . and -; 64 characters at most")
	}
	secret, public := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pub")
	for _, path := range []string{secret, public} {
		if _, err := os.Lstat(path); err == nil {
			return core.Errorf(core.ErrConflict, "keys new", "%s exists already", path).WithHint("choose another name, or remove the old key first")
		}
	}
	return writeBoth(secret, public, k)
}

// writeBoth writes both halves or none: half a key would be in the way of the next
// try.
func writeBoth(secret, public string, k KeyPair) error {
	if err := writeNew(secret, k.Secret, 0o600); err != nil {
		return err
	}
	if err := writeNew(public, k.Public, 0o644); err != nil {
		return errors.Join(err, os.Remove(secret))
	}
	return nil
}

// writeNew writes a file that must not exist yet; nothing is left of one that
// could not be written to the end.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return writeError(path, err)
	}
	_, err = f.WriteString(text + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return writeError(path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// writeError says what kept a key from being written.
func writeError(path string, err error) error {
	class, hint := core.ErrUnavailable, "the disk may be full; df -h "+filepath.Dir(path)+" tells"
	switch {
	case errors.Is(err, fs.ErrExist):
		class, hint = core.ErrConflict, "choose another name, or remove the old key first"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		class, hint = core.ErrInvalid, filepath.Dir(path)+" is no directory: make it, or name another one (--out DIR)"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		class, hint = core.ErrForbidden, "name a directory of yours: faasctl keys new NAME --out DIR"
	}
	failed := core.Errorf(class, "keys new", "the key could not be written")
	failed.Err = err
	return failed.WithHint("%s", hint)
}

// LoadSecret reads NAME.key. It refuses a file that others than its owner can
// read.
func LoadSecret(path string) (KeyPair, error) {
	info, err := os.Stat(path)
	if err != nil {
		return KeyPair{}, keyError(path, "it cannot be read", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return KeyPair{}, core.Errorf(core.ErrForbidden, "key "+path, "others can read this secret key (mode %04o)", info.Mode().Perm()).
			WithHint("chmod 600 %s; if others may have read it, make a new one with faasctl keys new", path)
	}
	secret, err := readKey(path)
	if err != nil {
		return KeyPair{}, err
	}
	public, err := zmq4.AuthCurvePublic(secret)
	if err != nil {
		return KeyPair{}, keyError(path, "it is no secret key", err)
	}
	return KeyPair{public, secret}, nil
}

// LoadPublic reads NAME.pub.
func LoadPublic(path string) (string, error) { return readKey(path) }

func keyError(path, detail string, err error) error {
	failed := core.Errorf(core.ErrInvalid, "key "+path, "%s", detail)
	failed.Err = err
	return failed.WithHint("faasctl keys new NAME writes NAME.key and NAME.pub")
}

const keyLength = 40 // of Z85

func readKey(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", keyError(path, "it cannot be read", err)
	}
	key := strings.TrimSpace(string(text))
	if err := checkKey(key); err != nil {
		return "", keyError(path, "it holds no key", err)
	}
	return key, nil
}

// z85 is the alphabet of the encoding: libzmq decodes other characters to
// something, without a word.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

func checkKey(key string) error {
	if len(key) != keyLength {
		return core.Errorf(core.ErrInvalid, "", "a key has %d characters, not %d", keyLength, len(key))
	}
	for _, c := range key {
		if !strings.ContainsRune(z85, c) {
			return core.Errorf(core.ErrInvalid, "", "%q is no character of a key", c)
		}
	}
	return nil
}

// ServerCurve is what a side that is connected to needs for CURVE.
type ServerCurve struct {
	// Secret is the server's own secret key.
	Secret string
	// Allow is the directory with a NAME.pub for everybody who may connect. It
	// is read again when it changes.
	Allow string
}

// ClientCurve is what a side that connects needs for CURVE.
type ClientCurve struct {
	// Key is this side's own.
	Key KeyPair
	// Server is the public key of those it connects to: nobody else will do.
	Server string
}

func (c *ClientCurve) check() error {
	for _, key := range []string{c.Key.Public, c.Key.Secret, c.Server} {
		if err := checkKey(key); err != nil {
			return core.Errorf(core.ErrInvalid, "sockets", "CURVE needs the worker's key and the server's public key: %v", err)
		}
	}
	if public, err := zmq4.AuthCurvePublic(c.Key.Secret); err != nil || public != c.Key.Public {
		return core.Errorf(core.ErrInvalid, "sockets", "the secret and the public key do not belong together")
	}
	return nil
}

// apply sets each part by itself: the binding's helper for all three forgets to
// look whether the secret was accepted.
func (c *ClientCurve) apply(s *zmq4.Socket) error {
	return errors.Join(s.SetCurveServerkey(c.Server), s.SetCurvePublickey(c.Key.Public), s.SetCurveSecretkey(c.Key.Secret))
}
