package snapshot

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// File is one snapshot on the disk of a server, or one that could not be taken.
type File struct {
	Name      string
	Location  string // file:// and the path
	NodeName  string
	Created   time.Time
	Size      int64
	Metadata  map[string]string
	TokenHash string // known only of snapshots that this server took
	Failure   string // why there is none
}

// listFiles returns every file below the directory. Files are not looked into: any is taken for a snapshot.
func (o Options) listFiles() ([]File, error) {
	dir, err := o.findDir()
	if err != nil {
		return nil, err
	}
	var out []File
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil {
			return err
		}
		out = append(out, File{Name: info.Name(), Location: "file://" + filepath.Join(dir, info.Name()),
			NodeName: o.NodeName, Created: findTime(info), Size: info.Size(), Metadata: readMetadata(path)})
		return nil
	})
	return out, err
}

// findTime takes the time from the name; a file with another name has its own.
func findTime(info fs.FileInfo) time.Time {
	base := strings.TrimSuffix(info.Name(), zipSuffix)
	seconds, err := strconv.ParseInt(base[strings.LastIndexByte(base, '-')+1:], 10, 64)
	if err != nil {
		return info.ModTime().Truncate(time.Second)
	}
	return time.Unix(seconds, 0)
}

func readMetadata(path string) map[string]string {
	data, err := os.ReadFile(metadataPath(path))
	if err != nil {
		return nil
	}
	var metadata map[string]string
	if err := json.Unmarshal(data, &metadata); err != nil {
		logline.Warnf("Failed to unmarshal metadata for %s: %v", filepath.Base(path), err)
	}
	return metadata
}

// applyRetention keeps the newest snapshots whose names begin with prefix, and returns the names of those that it
// removed. Zero keeps all.
func applyRetention(dir, prefix string, retention int) ([]string, error) {
	if retention < 1 {
		return nil, nil
	}
	logline.Infof("Applying snapshot retention=%d to local snapshots with prefix %s in %s", retention, prefix, dir)
	files, err := Options{Dir: dir}.listFiles()
	if err != nil {
		return nil, err
	}
	var found []File
	for _, file := range files {
		if strings.HasPrefix(file.Name, prefix) {
			found = append(found, file)
		}
	}
	if len(found) <= retention {
		return nil, nil
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Created.After(found[j].Created) })
	var deleted []string
	for _, file := range found[retention:] {
		path := filepath.Join(dir, file.Name)
		logline.Infof("Removing local snapshot %s", path)
		if err := removeFile(path); err != nil {
			return deleted, err
		}
		deleted = append(deleted, file.Name)
	}
	return deleted, nil
}

// compress replaces a snapshot by an archive that contains it, and returns the archive's path.
func compress(path string, created time.Time) (string, error) {
	logline.Infof("Compressing etcd snapshot file: %s", filepath.Base(path))
	defer os.Remove(path)
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return "", err
	}
	header.Method, header.Modified = zip.Deflate, created
	out, err := os.Create(path + zipSuffix)
	if err != nil {
		return "", err
	}
	archive := zip.NewWriter(out)
	entry, err := archive.CreateHeader(header)
	if err == nil {
		_, err = io.Copy(entry, in)
	}
	if err = errors.Join(err, archive.Close(), out.Close()); err != nil {
		os.Remove(out.Name())
		return "", err
	}
	return out.Name(), nil
}

// Decompress unpacks an archive that compress made into dir and returns the snapshot's path; of another file it
// returns the path as it is.
func Decompress(path, dir string) (string, error) {
	if !isCompressed(path) {
		return path, nil
	}
	logline.Infof("Decompressing etcd snapshot file: %s", path)
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	if len(archive.File) != 1 {
		return "", errors.New("want an archive of one snapshot")
	}
	in, err := archive.File[0].Open()
	if err != nil {
		return "", err
	}
	defer in.Close()
	target := filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), zipSuffix))
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(target)
		return "", err
	}
	return target, nil
}
