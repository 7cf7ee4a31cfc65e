"""The generated modules of nodegate's own protocol: ``redirect_pb2`` (``make protos``)."""
