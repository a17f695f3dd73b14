package httpapi

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/httpapi/client"
)

const testToken = "0123456789abcdef-token"

func tokenFile(t testing.TB, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte(content), mode))
	must(t, os.Chmod(path, mode))
	return path
}

// asStranger makes every connection look like another user's.
func asStranger(c *Config) {
	c.peerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) { return uint32(os.Geteuid()) + 1000, nil }
}

func TestToken(t *testing.T) {
	path := tokenFile(t, testToken+"\n", 0o600)
	st := start(t, asStranger, func(c *Config) { c.TokenFile = path })
	for header, want := range map[string]int{
		"":                              401,
		"Bearer":                        401,
		"Bearer ":                       401,
		"Bearer " + testToken:           200,
		"bearer " + testToken:           200,
		"Bearer " + testToken + "x":     401,
		"Bearer " + testToken[:10]:      401,
		"Basic " + testToken:            401,
		"Bearer x, Bearer " + testToken: 401,
	} {
		got := st.send("GET", "/version", "", "Authorization: "+header)
		if got.status != want {
			t.Errorf("%q: %d, want %d", header, got.status, want)
		}
		if got.status == 401 {
			p := got.problem(t)
			if p.Code != "no-token" || !strings.Contains(p.Hint, "FAASCTL_TOKEN_FILE") || got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%+v", p)
			}
		}
	}
	friend, err := client.New(client.Config{URL: st.server.URL(), TokenFile: path})
	must(t, err)
	defer friend.Close()
	if _, err := friend.Version(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := st.client.Version(context.Background()); !errors.Is(err, core.ErrNoToken) || core.HintOf(err) == "" {
		t.Fatalf("%v", err)
	}
}

func TestEveryRouteIsGuarded(t *testing.T) {
	st := start(t, asStranger)
	for _, route := range []string{"GET /healthz", "GET /docs", "GET /openapi.json", "GET /nothing", "POST /register_function", "GET /v1/events", "DELETE /v1/functions/f"} {
		method, path, _ := strings.Cut(route, " ")
		st.want(401, method, path, "").problem(t)
	}
}

// With no server-side knowledge of the token, nothing that is sent may help.
func TestNoTokenConfigured(t *testing.T) {
	st := start(t, asStranger)
	for _, header := range []string{"Bearer ", "Bearer x", "Bearer"} {
		if p := st.want(401, "GET", "/version", "", "Authorization: "+header).problem(t); !strings.Contains(p.Hint, "--token-file") {
			t.Errorf("%+v", p)
		}
	}
}

func TestOwnerPassesWithoutTheToken(t *testing.T) {
	path := tokenFile(t, testToken, 0o600)
	st := start(t, func(c *Config) { c.TokenFile = path })
	st.want(200, "GET", "/version", "")
	st.want(200, "GET", "/version", "", "Authorization: Bearer of something else")
	// A proxy on this machine carries other people's requests.
	st.want(401, "GET", "/version", "", "X-Forwarded-For: 192.0.2.7").problem(t)
	st.want(401, "GET", "/version", "", "Forwarded: for=192.0.2.7").problem(t)
	st.want(200, "GET", "/version", "", "X-Forwarded-For: 192.0.2.7", "Authorization: Bearer "+testToken)
}

func TestNewRefuses(t *testing.T) {
	service, err := core.NewService(core.ServiceConfig{Store: memstore.New(memstore.Config{})})
	must(t, err)
	good := tokenFile(t, testToken, 0o600)
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"wildcard without a token": {Config{Listen: "0.0.0.0:8000"}, "without a token"},
		"empty host":               {Config{Listen: ":8000"}, "without a token"},
		"v6 wildcard":              {Config{Listen: "[::]:8000"}, "without a token"},
		"name without a token":     {Config{Listen: "example.org:8000"}, "without a token"},
		"no port":                  {Config{Listen: "127.0.0.1"}, "not a host and a port"},
		"no token file":            {Config{TokenFile: filepath.Join(t.TempDir(), "none")}, "token file"},
		"open token file":          {Config{TokenFile: tokenFile(t, testToken, 0o644)}, "open to others"},
		"short token":              {Config{TokenFile: tokenFile(t, "0123456789abcde\n", 0o600)}, "at least 16"},
		"two tokens":               {Config{TokenFile: tokenFile(t, testToken+"\n"+testToken, 0o600)}, "one token"},
	} {
		c.cfg.Service = service
		if _, err := New(c.cfg); err == nil || !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, listen := range []string{"localhost:0", "[::1]:0", "127.0.0.2:0"} {
		if _, err := New(Config{Service: service, Listen: listen}); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	if _, err := New(Config{Service: service, Listen: "0.0.0.0:0", TokenFile: good}); err != nil {
		t.Error(err)
	}
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	service, err := core.NewService(core.ServiceConfig{Store: memstore.New(memstore.Config{})})
	must(t, err)
	s, err := New(Config{Service: service, Listen: taken.Addr().String()})
	must(t, err)
	err = s.Listen()
	if !errors.Is(err, core.ErrConflict) || !strings.Contains(core.HintOf(err), "--listen") || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Fatalf("%v (%s)", err, core.HintOf(err))
	}
	must(t, s.Close())
}

func TestHost(t *testing.T) {
	st := start(t, func(c *Config) { c.Hosts = []string{"faas.example"} })
	for host, want := range map[string]int{
		"127.0.0.1:8000": 200, "localhost": 200, "LocalHost:1": 200, "[::1]:8000": 200, "127.9.9.9": 200, "faas.example:80": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "10.0.0.1": 403, "0.0.0.0:8000": 403,
	} {
		got := st.send("GET", "/version", "", "Host: "+host)
		if got.status != want {
			t.Errorf("%s: %d, want %d", host, got.status, want)
		}
		if want == 403 {
			got.problem(t)
		}
	}
	wide := newGuard(Config{Listen: "0.0.0.0:8000"})
	for host, want := range map[string]bool{"192.0.2.7:8000": true, "[2001:db8::1]:8000": true, "evil.example": false, "": false} {
		if wide.knows(host) != want {
			t.Errorf("on a wildcard, %q: %v", host, !want)
		}
	}
}

func TestCrossSite(t *testing.T) {
	st := start(t)
	st.function("f")
	form := []string{"Content-Type: application/x-www-form-urlencoded"}
	for _, headers := range [][]string{
		{"Origin: https://evil.example"}, {"Origin: null"}, {"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"},
		{"Origin: http://127.0.0.1:1", "Sec-Fetch-Site: cross-site"},
	} {
		st.want(403, "POST", "/v1/tasks", `a=1`, append(form, headers...)...).problem(t)
		st.want(403, "POST", "/v1/tasks", `{"function":"f"}`, headers...).problem(t)
		st.want(403, "DELETE", "/v1/functions/f", ``, headers...).problem(t)
		st.want(403, "POST", "/execute_function", `{}`, headers...).problem(t)
	}
	st.want(202, "POST", "/v1/tasks", `{"function":"f"}`, "Sec-Fetch-Site: same-origin")
	st.want(202, "POST", "/v1/tasks", `{"function":"f"}`, "Origin: "+st.server.URL())
	st.want(200, "GET", "/version", "", "Sec-Fetch-Site: cross-site") // reading is the browser's to refuse
}
