// A live list as Relay wants it; see dashboard.ts.
import { graphql } from 'relay-runtime';

graphql`
  subscription liveJobsSubscription($search: String) {
    live(interval: 200) {
      jobs(first: 5, search: $search, orderBy: [{ field: DESCRIPTION }]) {
        totalCount
        nodes {
          id
          description
        }
      }
    }
  }
`;
