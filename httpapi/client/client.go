package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

const (
	defaultURL      = "http://127.0.0.1:8000"
	defaultTimeout  = 30 * time.Second
	defaultPatience = 10 * time.Second
	// maxWait is the longest wait that one request asks for; longer ones are
	// asked for again.
	maxWait = 30 * time.Second
	// tokenFileVar names the environment variable with the token file's path.
	tokenFileVar = "FAASCTL_TOKEN_FILE"
)

// Config says how to reach a server. The zero value reaches a local one.
type Config struct {
	// URL is where the server listens; a host and port alone mean http.
	// Default: http://127.0.0.1:8000.
	URL string
	// TokenFile is a file that holds the bearer token and nothing else.
	// Default: $FAASCTL_TOKEN_FILE, and no token when that is empty.
	TokenFile string
	// Timeout bounds each request beyond the wait that it asks for.
	// Default: 30 s.
	Timeout time.Duration
	// Patience is how long a request is sent again while the server cannot be
	// reached or says 503. Only requests that may be are: those that change
	// nothing, or nothing more the second time, or that have surely not
	// arrived. Default: 10 s; negative: never again.
	Patience time.Duration
	// Waiting hears of a request that has been sent again for a second, once,
	// and why. Default: nobody does.
	Waiting func(why error)
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = defaultURL
	}
	if c.TokenFile == "" {
		c.TokenFile = os.Getenv(tokenFileVar)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Waiting == nil {
		c.Waiting = func(error) {}
	}
	return c
}

// Client talks to one server. It may be used by many goroutines at once.
type Client struct {
	base     string // without a slash at its end
	token    string
	timeout  time.Duration
	patience time.Duration
	waiting  func(error)
	http     *http.Client
}

// New returns a client; it does not connect yet.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	base, err := parseBase(cfg.URL)
	if err != nil {
		return nil, err
	}
	token, err := readToken(cfg.TokenFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = 0 // each request has a deadline of its own
	return &Client{base: base, token: token, timeout: cfg.Timeout, patience: cfg.Patience, waiting: cfg.Waiting, http: &http.Client{
		Transport: transport,
		// Following a redirect would hand the token to whoever wrote it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// URL is where the client looks for the server.
func (c *Client) URL() string { return c.base }

func parseBase(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", core.Errorf(core.ErrInvalid, "", "%q is not the address of a server", text).
			WithHint("write it like %s", defaultURL)
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), nil
}

func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", &core.Error{Class: core.ErrInvalid, Op: "read the token file", Err: err,
			Hint: "name a file that holds the server's token, by --token-file or " + tokenFileVar}
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, "\r\n\x00") {
		return "", core.Errorf(core.ErrInvalid, "read the token file", "%s does not hold one token", path)
	}
	return token, nil
}

// Ready fails unless the server takes tasks and somebody runs them.
func (c *Client) Ready(ctx context.Context) error {
	// Not again: 503 is the answer that was asked for.
	_, err := c.exchange(ctx, asked{method: http.MethodGet, path: "/readyz"}, &wire.Status{})
	return err
}

// Version returns the server's version.
func (c *Client) Version(ctx context.Context) (string, error) {
	var answer wire.Version
	err := c.get(ctx, "/version", nil, 0, &answer)
	return answer.Version, err
}

// Stats returns the whole system in numbers.
func (c *Client) Stats(ctx context.Context) (core.Stats, error) {
	var stats core.Stats
	err := c.get(ctx, "/v1/stats", nil, 0, &stats)
	return stats, err
}

// Workers returns every worker that is there or was there within a minute.
func (c *Client) Workers(ctx context.Context) ([]core.Worker, error) {
	var answer wire.Workers
	err := c.get(ctx, "/v1/workers", nil, 0, &answer)
	return answer.Workers, err
}

// Worker returns one worker, by its id or a unique prefix of it.
func (c *Client) Worker(ctx context.Context, id string) (core.Worker, error) {
	var worker core.Worker
	err := c.get(ctx, "/v1/workers/"+url.PathEscape(id), nil, 0, &worker)
	return worker, err
}

// DrainWorker asks a worker to end what it has and leave.
func (c *Client) DrainWorker(ctx context.Context, id string) (core.Worker, error) {
	var worker core.Worker
	err := c.post(ctx, "/v1/workers/"+url.PathEscape(id)+"/drain", nil, &worker)
	return worker, err
}

func (c *Client) unreachable(err error) error {
	return &core.Error{Class: core.ErrUnavailable, Detail: "cannot reach the server at " + c.base, Err: err, Hint: "start it: faasctl up"}
}

func (c *Client) silent(span time.Duration) error {
	return &silentError{&core.Error{Class: core.ErrUnavailable, Detail: fmt.Sprintf("the server at %s did not answer within %v", c.base, span),
		Hint: "look at its log, or ask it: faasctl doctor"}}
}
