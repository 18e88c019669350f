def test_accuracy(mbn2c_board):
    result = mbn2c_board.verify("images", labels="labels.csv")
    assert result["device_vs_reference_mismatches"] == 0
    assert result["top1_device"] > 0.7
    assert result["top1_agreement"] > 0.9
