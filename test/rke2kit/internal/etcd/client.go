// Package etcd reads and writes the datastore of a server: over its client port while it runs, from its file while
// it does not.
package etcd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const callTimeout = 10 * time.Second

// Client talks to one etcd in JSON. etcd offers the same operations there as over gRPC, whose client would be most of
// the supervisor's size.
type Client struct {
	base string
	http *http.Client
}

// KeyValue is one key with its newest value.
type KeyValue struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
}

// Member is one member of the cluster.
type Member struct {
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
}

// NewClient reads the files, all PEM. Server is https://host:port.
func NewClient(server, caFile, certFile, keyFile string) (*Client, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load etcd client certificate: %w", err)
	}
	caPEM, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read etcd CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(caPEM) {
		return nil, fmt.Errorf("no certificate in %s", caFile)
	}
	// An etcd that ends waits for its connections, so none is kept.
	return &Client{base: server, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{cert},
			MinVersion: tls.VersionTLS12}}}}, nil
}

// ListPrefix returns the keys that begin with prefix, which must not be empty.
func (c *Client) ListPrefix(ctx context.Context, prefix string) ([]KeyValue, error) {
	end := []byte(prefix)
	end[len(end)-1]++
	var out struct {
		KVs []KeyValue `json:"kvs"`
	}
	err := c.call(ctx, "kv/range", map[string][]byte{"key": []byte(prefix), "range_end": end}, &out)
	return out.KVs, err
}

// Put writes one key.
func (c *Client) Put(ctx context.Context, key string, value []byte) error {
	return c.call(ctx, "kv/put", KeyValue{Key: []byte(key), Value: value}, nil)
}

// ListMembers returns the members, as this member knows them.
func (c *Client) ListMembers(ctx context.Context) ([]Member, error) {
	var out struct {
		Members []Member `json:"members"`
	}
	err := c.call(ctx, "cluster/member/list", struct{}{}, &out)
	return out.Members, err
}

func (c *Client) call(ctx context.Context, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := c.post(ctx, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	return json.NewDecoder(body).Decode(out)
}

func (c *Client) post(ctx context.Context, path string, in any) (io.ReadCloser, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v3/"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, fmt.Errorf("etcd %s: %s: %s", path, resp.Status, bytes.TrimSpace(text))
	}
	return resp.Body, nil
}

// SaveSnapshot streams a snapshot into file, with mode 0600. The file appears under its name when it is whole: what
// etcd sends ends with a sha256 of what came before.
func (c *Client) SaveSnapshot(ctx context.Context, file string) error {
	body, err := c.post(ctx, "maintenance/snapshot", struct{}{})
	if err != nil {
		return err
	}
	defer body.Close()
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("could not open %s (%w)", part, err)
	}
	defer os.Remove(part)
	size, err := copyBlobs(out, body)
	if err == nil && !HasChecksum(size) {
		err = fmt.Errorf("sha256 checksum not found [bytes: %d]", size)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("could not write snapshot: %w", err)
	}
	return os.Rename(part, file)
}

func copyBlobs(out io.Writer, in io.Reader) (int64, error) {
	var size int64
	for decoder := json.NewDecoder(in); ; {
		var message struct {
			Result struct {
				Blob []byte `json:"blob"`
			} `json:"result"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		err := decoder.Decode(&message)
		if errors.Is(err, io.EOF) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
		if message.Error != nil {
			return size, errors.New(message.Error.Message)
		}
		n, err := out.Write(message.Result.Blob)
		size += int64(n)
		if err != nil {
			return size, err
		}
	}
}

// HasChecksum tells from its size whether a snapshot ends with a sha256: databases are whole pages.
func HasChecksum(size int64) bool { return size%512 == 32 }
