"""
Frames that are packed once and sent again and again, in any protocol: a sender that costs as little as it can.

What `livestrain bench stream --as` measures is the receiver, on processor cores that both share.
"""
