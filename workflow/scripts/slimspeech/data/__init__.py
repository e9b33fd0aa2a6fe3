"""From a corpus's archive to manifests: readers, audio, splits, licences."""
