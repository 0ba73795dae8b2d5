import XCTest

@testable import Forewarn

/// The mapping is the service's: tests/ has the same cases for `/v1/filter/apple`.
final class MessageFilterTests: XCTestCase {
    private let filter = MessageFilter()

    func testAVerdictBecomesApplesNumbers() {
        let cases: [(VerdictName, Action, String, Int, Int)] = [
            (.scam, .block, "parcel_delivery", 2, 0),
            (.scam, .warn, "loan", 2, 0),
            (.scam, .allow, "loan", 1, 0),
            (.promotion, .allow, "promotion", 3, 0),
            (.promotion, .warn, "promotion", 3, 0),
            (.legitimate, .allow, "transactional", 4, 0),
            (.legitimate, .allow, "public_notice", 4, 10008),
            (.legitimate, .allow, "personal", 1, 0),
        ]
        for (name, action, type, wantedAction, wantedSubAction) in cases {
            guard case .answer(let got, let subAction) = filter.answer(on: verdict(name, action, type)) else {
                return XCTFail("\(type) is deferred")
            }
            XCTAssertEqual([got.rawValue, subAction.rawValue], [wantedAction, wantedSubAction], type)
        }
    }

    func testOnlyAnAppThatSaysSoAsksTheNetwork() {
        let doubtful = MessageFilter { verdict in verdict.map { (0.3..<0.9).contains($0.risk) } ?? true }
        XCTAssertEqual(doubtful.answer(on: verdict(.legitimate, .allow, "personal", risk: 0.5)), .deferToNetwork)
        XCTAssertEqual(doubtful.answer(on: verdict(.legitimate, .allow, "personal", risk: 0.1)), .answer(.allow, .none))
        XCTAssertEqual(doubtful.answer(on: nil), .deferToNetwork)
        XCTAssertEqual(filter.answer(on: nil), .answer(.none, .none))
    }

    func testMessagesAreJudgedByTheRealModel() {
        func answer(_ text: String?) -> MessageFilter.Answer {
            filter.answer(to: text, from: nil, locale: "en-GB", by: TestFiles.classifier)
        }
        let scam = "Your parcel is held at customs. Pay 1.99 at parcel-fee.example/pay today"
        XCTAssertEqual(answer(scam), .answer(.junk, .none))
        XCTAssertEqual(answer("See you at dinner, love"), .answer(.allow, .none))
        XCTAssertEqual(answer(nil), .answer(.allow, .none))
        XCTAssertEqual(filter.answer(to: scam, from: nil, locale: nil, by: nil), .answer(.none, .none))
    }

    private func verdict(_ name: VerdictName, _ action: Action, _ type: String, risk: Double = 0.5) -> Verdict {
        Verdict(verdict: name, risk: risk, action: action, type: type, typeScore: 0.5, levers: [], model: "test")
    }
}
